/* The same in C, with a light that goes on where somebody is seen. */

#include <stdint.h>
#include <stdio.h>

#include "person.h"

static int inside(int x, int y, int cx, int cy, int wide, int high) {
    const int dx = (x - cx) * high;
    const int dy = (y - cy) * wide;
    return dx * dx + dy * dy < wide * wide * high * high;
}

/* In place of a camera: a figure of a head, a body and two legs, or a box, before a dark wall. */
static int pixel(int x, int y, int somebody) {
    const int legs = y > 34 && y < 50 && ((x > 26 && x < 31) || (x > 33 && x < 38));
    const int figure = inside(x, y, 32, 16, 4, 5) || inside(x, y, 32, 28, 7, 9) || legs;
    const int box = x > 18 && x < 44 && y > 26 && y < 46;
    return ((somebody ? figure : box) ? 200 : 50) + (x * 31 + y * 17 + x * y * 7) % 9 - 4;
}

static int sees_somebody(int somebody) {
    for (int y = 0;; ++y) {
        int8_t row[PERSON_INPUT_ROW_SIZE];
        for (int x = 0; x < PERSON_INPUT_ROW_SIZE; ++x) {
            row[x] = person_quantize_input((float)pixel(x, y, somebody) / 255.0F);
        }
        if (person_push_row(row)) {
            return person_output()[1] > person_output()[0];
        }
    }
}

/* A pin of a board in place of this. */
static void set_light(int on) {
    puts(on ? "light on" : "light off");
}

int main(void) {
    set_light(sees_somebody(0));
    set_light(sees_somebody(1));
    set_light(sees_somebody(0));
    return 0;
}
