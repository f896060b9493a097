/* Eight tones, made here: which does the model find? */

#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "tones.h"

/* Triangles, about as long as the sines that the model has learnt: 31 samples, or 7. */
static void make_tone(bool is_fast, int phase) {
    const int period = is_fast ? 7 : 31;
    float* samples = tones_input();
    for (int i = 0; i < TONES_INPUT_SIZE; ++i) {
        const int at = (i + phase) % period;
        const int height = 2 * at < period ? at : period - at;
        samples[i] = 4.0f * (float)height / (float)period - 1.0f;
    }
}

int main(void) {
    int right = 0;
    for (int i = 0; i < 8; ++i) {
        const bool is_fast = i % 2 != 0;
        make_tone(is_fast, 3 * i);
        tones_run();
        const float* scores = tones_output();
        right += (scores[1] > scores[0]) == is_fast ? 1 : 0;
    }
    printk("tones: %d of 8 right\n", right);
    return 0;
}
