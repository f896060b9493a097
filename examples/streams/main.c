/* Gestures in C: the state begins anew with each, and goes on from sample to sample. */

#include <stdio.h>

#include "gesture.h"

static const char* const names[] = {"still", "shake", "circle", "tilt"};

static size_t greatest(const float* scores, size_t count) {
    size_t best = 0;
    for (size_t index = 1; index < count; ++index) {
        best = scores[index] > scores[best] ? index : best;
    }
    return best;
}

/* In place of a sensor: gravity on the third axis, and a hand that throws the first one to and fro. */
static const char* gesture_of(int shaken) {
    gesture_reset();
    for (int time = 0; time < 64; ++time) {
        float* sample = gesture_input();
        for (int axis = 0; axis < GESTURE_INPUT_SIZE; ++axis) {
            sample[axis] = axis == 2 ? 1.0F : 0.0F;
        }
        if (shaken) {
            sample[0] = (time / 3) % 2 == 0 ? 1.2F : -1.2F;
        }
        gesture_run();
    }
    return names[greatest(gesture_output(), GESTURE_OUTPUT_SIZE)];
}

int main(void) {
    puts(gesture_of(0));
    puts(gesture_of(1));
    puts(gesture_of(0));
    return 0;
}
