/* The same in C: a window of samples, an inference, a word. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "vibration.h"

static uint32_t seed = 1;

/* In place of a driver: rotation and its harmonics, and what a worn bearing adds. */
static void read_sensor(float* samples, int worn) {
    const float turn_per_sample = 6.2831853F * 50.0F / 1600.0F;
    for (int index = 0; index < VIBRATION_INPUT_SIZE; ++index) {
        const float turn = turn_per_sample * (float)index;
        float wave = sinf(turn) + 0.4F * sinf(2 * turn) + 0.2F * sinf(3 * turn) + 0.1F * sinf(4 * turn);
        if (worn) {
            const float passages = (float)index * 50.0F * 3.6F / 1600.0F;
            const float since = (passages - floorf(passages)) / (50.0F * 3.6F);
            wave += 0.8F * expf(-600.0F * since) * sinf(6.2831853F * 520.0F * since);
        }
        /* Noise of a generator that gives the same on each run. */
        seed = seed * 1664525U + 1013904223U;
        samples[index] = wave + 0.17F * ((float)(seed >> 8) / 16777216.0F - 0.5F);
    }
}

int main(void) {
    for (int window = 0; window < 4; ++window) {
        read_sensor(vibration_input(), window >= 2);
        vibration_run();
        puts(vibration_output()[0] > 1.0F ? "anomaly" : "normal");
    }
    return 0;
}
