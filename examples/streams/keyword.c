/* Words in C: sound in steps of a hop, features and past inside the model. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "wake.h"

static const char* const words[] = {"noise", "rising", "falling", "double"};

static size_t greatest(const float* scores, size_t count) {
    size_t best = 0;
    for (size_t index = 1; index < count; ++index) {
        best = scores[index] > scores[best] ? index : best;
    }
    return best;
}

static uint32_t seed = 1;

/* In place of a microphone: a voice whose formant glides from one frequency to another, in some noise. */
static const char* word_of(float from, float to) {
    wake_reset();
    float turn = 0.0F;
    const int samples = WAKE_HOP * WAKE_FIRST_RESULT;
    for (int time = 0; time < samples;) {
        float* sound = wake_input();
        for (int index = 0; index < WAKE_HOP; ++index, ++time) {
            const float within = ((float)time / (float)samples - 0.25F) / 0.45F;
            seed = seed * 1664525U + 1013904223U;
            sound[index] = 0.06F * ((float)(seed >> 8) / 16777216.0F - 0.5F);
            turn += 6.2831853F * 140.0F / 8000.0F;
            for (int harmonic = 1; within > 0.0F && within < 1.0F && harmonic < 25; ++harmonic) {
                const float distance = ((float)harmonic * 140.0F - from - (to - from) * within) / 250.0F;
                sound[index] += 0.1F * expf(-distance * distance) * sinf((float)harmonic * turn);
            }
        }
        wake_run();
    }
    return words[greatest(wake_output(), WAKE_OUTPUT_SIZE)];
}

int main(void) {
    puts(word_of(500.0F, 2300.0F));
    puts(word_of(2300.0F, 500.0F));
    return 0;
}
