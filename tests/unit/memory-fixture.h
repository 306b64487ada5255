/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of service/server/memory share: a leak check that counts descriptors too, the memory that most tests
 * begin with, and a look at its bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "service/server/memory.h"
#include "tests/unit/testing.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* leak_check_setup() and _teardown(), and no descriptor more or less than before. */
int memory_leak_check_setup(void **state);
int memory_leak_check_teardown(void **state);

#define MEMORY_TEST(function) \
        cmocka_unit_test_setup_teardown(function, memory_leak_check_setup, memory_leak_check_teardown)

/* Anonymous memory in 4K pages, everything else as definitions have it when they do not say. */
Definition memory_definition(uint64_t size);

MemoryRequest memory_request(const Definition *definition);

/* Makes what must succeed. */
Memory *memory_make(void *ctx, const Definition *definition);

/* Asks for what must be refused, with this errno and text. */
void memory_refuse(void *ctx, const Definition *definition, int result, const char *error);

/* Writes a byte at an offset, through a mapping of its own, as a peer does. */
void memory_poke(const Memory *memory, uint64_t offset, uint8_t value);

uint8_t memory_peek(const Memory *memory, uint64_t offset);

/* Allocated bytes, by fstat(). */
uint64_t memory_blocks(const Memory *memory);

/* Wipes to the end, in slices; returns the last result that was not 0, or 0. */
int memory_wipe_all(Memory *memory, uint64_t slice);

/* ---- For Path= ---- */

#define FILE_SIZE (64 * KIB)

/* A directory of each test's own on tmpfs, and a name in it. Nothing may be left there, whatever its name. */
extern char file_directory[], file_path[64];

int directory_setup(void **state);
int directory_teardown(void **state);

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, directory_setup, directory_teardown)

Definition file_definition(void);

/* A file as somebody else might have left it. */
void file_write(uint64_t size, mode_t mode, uid_t uid);

struct stat file_stat(void);

/* False, with a line on standard error that says so, when the directory is on tmpfs. */
bool is_on_a_disk(const char *directory);

/* Runs a function in a child process under uid and gid 65534; returns its result, 0 .. 254. */
int run_as_nobody(int (*function)(const void *userdata), const void *userdata);
