// Two models at once: one in an interrupt at every step of the other, in two threads, step by step.
//
// Prints what differed from outputs without interruption. STACK is what the first model says that it needs.

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "first.h"
#include "second.h"

#define REGISTER(address) (*(volatile uint32_t*)(address))
#define FIRST_BYTES (FIRST_OUTPUT_SIZE * sizeof(float))
#define SECOND_BYTES (SECOND_OUTPUT_SIZE * sizeof(float))

enum Mode { ALONE, INTERRUPTED, REENTERED, THREADS };

static volatile enum Mode mode;
static volatile unsigned interrupts, switches, wrong;
static unsigned char first_expected[FIRST_BYTES], second_expected[SECOND_BYTES];

static void give_first(void) {
    for (size_t i = 0; i < FIRST_INPUT_SIZE; ++i) {
        first_input()[i] = (float)((int)(i * 37 % 255) - 127) * 0.1f;
    }
}

static void give_second(void) {
    for (size_t i = 0; i < SECOND_INPUT_SIZE; ++i) {
        second_input()[i] = (float)((int)(i * 91 % 251) - 125) * 0.1f;
    }
}

static void check_first(void) {
    wrong += memcmp(first_output(), first_expected, FIRST_BYTES) != 0;
}

static void run_second(void) {
    give_second();
    second_run();
    wrong += memcmp(second_output(), second_expected, SECOND_BYTES) != 0;
}

static void run_first(void) {
    give_first();
    first_run();
    check_first();
}

static void barrier(void) {
    __asm__ volatile("dsb\n isb" ::: "memory");
}

static void pend_switch(void) {
    REGISTER(0xE000ED04) = 1u << 28;
    barrier();
}

void first_on_step(size_t index) {
    (void)index;
    if (mode == INTERRUPTED || mode == REENTERED) {
        REGISTER(0xE000EF00) = 0;  // interrupt 0, now
        barrier();
    } else if (mode == THREADS) {
        pend_switch();
    }
}

void interrupt_0(void) {
    ++interrupts;
    if (mode == REENTERED) {
        mode = ALONE;
        give_first();
        first_input()[0] = 3.0f;
        first_run();
        mode = REENTERED;
        return;
    }
    run_second();
}

// Threads: thread 0 is main, thread 1 runs the second model for ever.
static uint64_t stack_of_second[512];
static uint32_t stack_pointers[2];
static unsigned current;

uint32_t switch_thread(uint32_t stack_pointer) {
    ++switches;
    stack_pointers[current] = stack_pointer;
    current = 1 - current;
    return stack_pointers[current];
}

__attribute__((naked)) void pend_sv(void) {
    __asm__ volatile(
        "mrs r0, psp\n tst lr, #0x10\n it eq\n vstmdbeq r0!, {s16-s31}\n stmdb r0!, {r4-r11, lr}\n"
        "bl switch_thread\n"
        "ldmia r0!, {r4-r11, lr}\n tst lr, #0x10\n it eq\n vldmiaeq r0!, {s16-s31}\n msr psp, r0\n bx lr\n");
}

void sys_tick(void) {
    pend_switch();
}

static volatile unsigned seconds;

static void second_thread(void) {
    while (1) {
        run_second();
        ++seconds;
    }
}

static void start_threads(void) {
    uint32_t* frame = (uint32_t*)(stack_of_second + 512) - 17;
    memset(frame, 0, 17 * sizeof *frame);
    frame[8] = 0xFFFFFFFDu;  // to a thread with the process stack, without registers of the FPU
    frame[15] = (uint32_t)second_thread;
    frame[16] = 1u << 24;
    stack_pointers[1] = (uint32_t)frame;
    // main goes on with the process stack, in the same place.
    __asm__ volatile(
        "mrs r0, msp\n msr psp, r0\n sub r0, r0, #2048\n mov r1, #2\n mrs r2, control\n"
        "orr r2, r2, r1\n msr control, r2\n isb\n msr msp, r0\n" ::
            : "r0", "r1", "r2", "memory");
    REGISTER(0xE000E014) = 1499;
    REGISTER(0xE000E018) = 0;
    REGISTER(0xE000E010) = 7;
}

// Bytes of stack that a run takes.
static __attribute__((noinline)) unsigned stack_of_run(void) {
    enum { PAINTED = 2048 };
    volatile unsigned char* low;
    __asm__ volatile("mov %0, sp" : "=r"(low));
    low -= PAINTED;
    for (unsigned i = 0; i < PAINTED; ++i) {
        low[i] = 0xA5;
    }
    first_run();
    unsigned untouched = 0;
    while (untouched < PAINTED && low[untouched] == 0xA5) {
        ++untouched;
    }
    return PAINTED - untouched;
}

int main(void) {
    REGISTER(0xE000E100) = 1;
    give_first();
    first_run();
    memcpy(first_expected, first_output(), FIRST_BYTES);
    give_second();
    second_run();
    memcpy(second_expected, second_output(), SECOND_BYTES);
    give_first();
    const unsigned used = stack_of_run();

    mode = INTERRUPTED;
    run_first();
    printf("interrupts %u of %u, wrong %u\n", interrupts, FIRST_STEP_COUNT, wrong);

    mode = REENTERED;
    wrong = 0;
    run_first();
    printf("control wrong %u\n", wrong);

    mode = ALONE;
    wrong = 0;
    give_first();
    for (size_t step = 0; step < FIRST_STEP_COUNT; ++step) {
        first_step(step);
        run_second();
    }
    check_first();
    give_first();  // given up after a step
    first_step(0);
    give_first();
    for (size_t step = 0; step < FIRST_STEP_COUNT; ++step) {
        first_step(step);
    }
    check_first();
    printf("steps wrong %u\n", wrong);

    mode = THREADS;
    start_threads();
    for (int i = 0; i < 40; ++i) {
        run_first();
    }
    REGISTER(0xE000E010) = 0;
    mode = ALONE;
    printf("threads: switched %u, second ran %u, wrong %u\n", switches > 40 * FIRST_STEP_COUNT, seconds > 10,
           wrong);
    printf("stack used %u of %u\n", used, STACK);
    return 0;
}
