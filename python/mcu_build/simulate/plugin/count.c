/* A TCG plugin of QEMU that counts executed instructions by address, in spans between boundaries.
 *
 * Arguments: out=FILE, and the boundaries: from=ADDRESS and to=ADDRESS, a range of code in which every
 * instruction is one (to is behind the last), and any number of at=ADDRESS, one instruction each. A span
 * begins when the instruction at a boundary executes, and ends before the next boundary does, whichever that
 * is. The first span begins at reset. Any number of memory=FROM:TO:WAITS:LINE:SLOTS, decimal but for the two
 * addresses: a read of data between FROM and TO that opens another line of LINE bytes waits WAITS cycles.
 * SLOTS lines are kept, each in the place of its number modulo SLOTS.
 *
 * Written to FILE, in the order of execution: for each span a line
 *     span <address of the boundary, 0 for the first span>
 * and for each address that was executed in it, once or more often,
 *     <address> <instructions executed there> <cycles waited there>
 * and "end" as the last line. Addresses are hexadecimal, counts are not.
 *
 * Exact: every instruction adds one where it is translated, before anything that it does itself, so also an
 * instruction that never finishes is counted. An instruction under IT that is not executed counts as well: it
 * is issued. The same image with the same files gives the same bytes on every run.
 *
 * Debian has no qemu-plugin.h, so what is used of version 1 of its interface, tried with QEMU 7.2, is
 * declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_INLINE_ADD_U64 = 0, QEMU_PLUGIN_MEM_RW = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* insn, void (*executed)(unsigned, void*),
                                            int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* insn, int operation, void* counter,
                                                uint64_t amount);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn* insn,
                                      void (*accessed)(unsigned, uint32_t, uint64_t, void*), int flags,
                                      int reads_or_writes, void* data);
bool qemu_plugin_mem_is_store(uint32_t info);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*ended)(qemu_plugin_id_t, void*), void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* insn);

EXPORT int qemu_plugin_version = 1;

/* An instruction as translated. One address can be translated several times; whoever reads the file adds up.
 */
struct slot {
    uint64_t address;
    uint64_t count; /* since the span began */
    uint64_t waited;
};

/* QEMU keeps pointers to slots, so they never move. */
enum { SLOTS_PER_CHUNK = 4096 };
struct chunk {
    struct chunk* next;
    size_t used;
    struct slot slots[SLOTS_PER_CHUNK];
};

static struct chunk* first_chunk;
static struct chunk* last_chunk;
static uint64_t range_from;
static uint64_t range_to;
static uint64_t* boundaries;
static size_t boundary_count;
static FILE* out;

/* Memories that reads wait for. A line is kept as its number, no line as NO_LINE. */
#define NO_LINE UINT64_MAX
struct memory {
    uint64_t from;
    uint64_t to;
    uint64_t waits;
    uint64_t line;
    uint64_t slot_count;
    uint64_t* slots;
};
static struct memory* memories;
static size_t memory_count;

static void* checked(void* memory) {
    if (!memory) {
        fputs("count: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static struct slot* new_slot(uint64_t address) {
    if (!last_chunk || last_chunk->used == SLOTS_PER_CHUNK) {
        struct chunk* chunk = checked(calloc(1, sizeof *chunk));
        *(last_chunk ? &last_chunk->next : &first_chunk) = chunk;
        last_chunk = chunk;
    }
    struct slot* slot = &last_chunk->slots[last_chunk->used++];
    slot->address = address;
    return slot;
}

static void end_span(void) {
    for (struct chunk* chunk = first_chunk; chunk; chunk = chunk->next) {
        for (size_t i = 0; i < chunk->used; ++i) {
            struct slot* slot = &chunk->slots[i];
            if (slot->count) {
                fprintf(out, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", slot->address, slot->count,
                        slot->waited);
                slot->count = 0;
                slot->waited = 0;
            }
        }
    }
}

static void boundary_executed(unsigned vcpu, void* data) {
    (void)vcpu;
    struct slot* slot = data;
    end_span();
    fprintf(out, "span %" PRIx64 "\n", slot->address);
    slot->count = 1;
}

static void read_data(unsigned vcpu, uint32_t info, uint64_t address, void* data) {
    (void)vcpu;
    /* QEMU 7.2 calls for stores where it was asked for reads, so all are asked for. */
    if (qemu_plugin_mem_is_store(info)) {
        return;
    }
    struct slot* slot = data;
    for (size_t i = 0; i < memory_count; ++i) {
        struct memory* memory = &memories[i];
        if (memory->from <= address && address < memory->to) {
            uint64_t line = address / memory->line;
            uint64_t* kept = &memory->slots[line % memory->slot_count];
            if (*kept != line) {
                *kept = line;
                slot->waited += memory->waits;
            }
        }
    }
}

static bool is_boundary(uint64_t address) {
    if (range_from <= address && address < range_to) {
        return true;
    }
    for (size_t i = 0; i < boundary_count; ++i) {
        if (boundaries[i] == address) {
            return true;
        }
    }
    return false;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < count; ++i) {
        struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        struct slot* slot = new_slot(address);
        if (is_boundary(address)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, boundary_executed, QEMU_PLUGIN_CB_NO_REGS, slot);
        } else {
            qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &slot->count, 1);
        }
        if (memory_count) {
            qemu_plugin_register_vcpu_mem_cb(insn, read_data, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                             slot);
        }
    }
}

static void ended(qemu_plugin_id_t id, void* data) {
    (void)id;
    (void)data;
    end_span();
    fputs("end\n", out);
    fclose(out);
}

static bool add_memory(const char* text) {
    struct memory* memory = &memories[memory_count];
    if (sscanf(text, "%" SCNx64 ":%" SCNx64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64, &memory->from, &memory->to,
               &memory->waits, &memory->line, &memory->slot_count) != 5 ||
        !memory->line || !memory->slot_count) {
        return false;
    }
    memory->slots = checked(malloc(memory->slot_count * sizeof *memory->slots));
    for (uint64_t i = 0; i < memory->slot_count; ++i) {
        memory->slots[i] = NO_LINE;
    }
    ++memory_count;
    return true;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info* info, int argc, char** argv) {
    (void)info;
    boundaries = checked(calloc((size_t)argc + 1, sizeof *boundaries));
    memories = checked(calloc((size_t)argc + 1, sizeof *memories));
    for (int i = 0; i < argc; ++i) {
        const char* value = strchr(argv[i], '=');
        uint64_t number = value ? strtoull(value + 1, NULL, 0) : 0;
        if (!strncmp(argv[i], "out=", 4)) {
            out = fopen(value + 1, "w");
        } else if (!strncmp(argv[i], "from=", 5)) {
            range_from = number;
        } else if (!strncmp(argv[i], "to=", 3)) {
            range_to = number;
        } else if (!strncmp(argv[i], "at=", 3)) {
            boundaries[boundary_count++] = number;
        } else if (strncmp(argv[i], "memory=", 7) || !add_memory(argv[i] + 7)) {
            fprintf(stderr, "count: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!out) {
        fputs("count: no out=FILE that can be written\n", stderr);
        return -1;
    }
    fputs("span 0\n", out);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
