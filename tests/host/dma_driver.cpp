// Runs a model on an image from standard input; writes its output.
//
//   dma_driver MODEL WHEN CACHE    MODEL: plain (its weights are read in place), whole, rows, shared
//                                  WHEN the DMA copies: start, wait, late (after the wait)
//                                  CACHE: off, on; no-clean, no-invalidate: on, and these do nothing
//
// The cache does not see what the DMA writes. It is as bad as a cache may be: it holds every line of the
// arena, and writes those back that differ from memory after the DMA has copied.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "mcu/cache.h"
#include "mcu/dma.h"
#include "plain.h"
#include "rows.h"
#include "shared.h"
#include "whole.h"

#define ARENA(name) extern "C" unsigned char name##_arena[];
ARENA(plain)
ARENA(whole)
ARENA(rows)
ARENA(shared)

namespace {

struct Model {
    std::string_view name;
    unsigned char* arena;
    size_t arena_size;
    void (*run)();
    void* (*input_at)(size_t index, size_t* bytes);
    void* (*output_at)(size_t index, size_t* bytes);
};
#define MODEL(name, size)                                                        \
    Model {                                                                      \
        #name, name##_arena, size, name##_run, name##_input_at, name##_output_at \
    }
const Model models[] = {
    MODEL(plain, PLAIN_ARENA_SIZE),
    MODEL(whole, WHOLE_ARENA_SIZE),
    MODEL(rows, ROWS_ARENA_SIZE),
    MODEL(shared, SHARED_ARENA_SIZE),
};
const Model* model = models;

using mcu::cache::kLine;
// What memory holds, and what each line held when cache and memory were last the same.
std::array<unsigned char, 1 << 16> memory;
std::array<unsigned char, 1 << 16> synced;
std::string_view when, caching;

struct Transfer {
    void* to;
    const void* from;
    size_t bytes;
};
Transfer pending{};

uintptr_t first_line() {
    return reinterpret_cast<uintptr_t>(model->arena) & ~(kLine - 1);
}

bool is_of_arena(uintptr_t line) {
    return line >= first_line() && line < reinterpret_cast<uintptr_t>(model->arena) + model->arena_size;
}

// The part of a line that lies in the arena.
void each_byte(uintptr_t line, void (*visit)(unsigned char& cached, size_t index)) {
    for (uintptr_t at = line; at < line + kLine; ++at) {
        const uintptr_t index = at - reinterpret_cast<uintptr_t>(model->arena);
        if (index < model->arena_size) {
            visit(model->arena[index], at - first_line());
        }
    }
}

void write_back(uintptr_t line) {
    static bool is_dirty;
    is_dirty = false;
    each_byte(line, [](unsigned char& cached, size_t index) { is_dirty |= cached != synced[index]; });
    if (is_dirty) {
        each_byte(line, [](unsigned char& cached, size_t index) { memory[index] = synced[index] = cached; });
    }
}

void drop(uintptr_t line) {
    each_byte(line, [](unsigned char& cached, size_t index) { cached = synced[index] = memory[index]; });
}

void transfer() {
    if (pending.bytes == 0) {
        return;
    }
    unsigned char* to = static_cast<unsigned char*>(pending.to);
    if (caching != "off") {
        to = memory.data() + (reinterpret_cast<uintptr_t>(to) - first_line());
    }
    std::memcpy(to, pending.from, pending.bytes);
    pending = {};
    if (caching != "off") {
        for (uintptr_t line = first_line(); is_of_arena(line); line += kLine) {
            write_back(line);
        }
    }
}

}  // namespace

namespace mcu::cache {

bool is_on() {
    return caching != "off";
}

void operate(Operation operation, uintptr_t line) {
    if (!is_of_arena(line)) {
        return;
    }
    if (caching == (operation == kInvalidate ? "no-invalidate" : "no-clean")) {
        return;
    }
    if (operation != kInvalidate) {
        write_back(line);
    }
    if (operation != kClean) {
        drop(line);
    }
}

}  // namespace mcu::cache

extern "C" void mcu_dma_start(void* to, const void* from, size_t bytes) {
    transfer();
    pending = {to, from, bytes};
    if (when == "start") {
        transfer();
    }
}

extern "C" void mcu_dma_wait() {
    if (when != "late") {
        transfer();
    }
}

int main(int, char** arguments) {
    while (model->name != arguments[1]) {
        ++model;
    }
    when = arguments[2];
    caching = arguments[3];
    size_t bytes = 0;
    void* const input = model->input_at(0, &bytes);
    if (std::fread(input, 1, bytes, stdin) != bytes) {
        return 1;
    }
    model->run();
    const void* const output = model->output_at(0, &bytes);
    return std::fwrite(output, 1, bytes, stdout) == bytes ? 0 : 1;
}
