/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text that people and files supply: sizes, yes/no, numbers, names of enum values, shell patterns. No allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Long enough for each size that size_format() writes, with its NUL. */
#define SIZE_TEXT_MAX 24U

/* "4096", "64K", "64M", "8G", "1T" (powers of 1024) as bytes. -EINVAL: not a size; -ERANGE: does not fit. */
int size_parse(const char *text, uint64_t *ret);

/* The shortest exact form that size_parse() reads back. */
void size_format(uint64_t size, char ret[static SIZE_TEXT_MAX]);

/* What makes a word for `n` of a thing: "s", but "" for one. */
const char *plural(uint64_t n);

/* yes/no, true/false, on/off, 1/0, as systemd's files have it. -EINVAL for anything else. */
int boolean_parse(const char *text, bool *ret);

/* Decimal digits only. -EINVAL: not a number; -ERANGE: above `max`. */
int number_parse(const char *text, uint32_t max, uint32_t *ret);

/* An octal file mode of at most 0777. */
int mode_parse(const char *text, uint32_t *ret);

/* A name table has a row for each value of an enum, in order. */
const char *name_of(const char *const *names, size_t n_names, int value);
int name_parse(const char *const *names, size_t n_names, const char *text);

#define NAME_OF(names, value) name_of((names), sizeof(names) / sizeof(*(names)), (value))
#define NAME_PARSE(names, text) name_parse((names), sizeof(names) / sizeof(*(names)), (text))

/* How errors say it. */
#define DOMAIN_NAME_RULE "a lower-case letter, then at most 26 lower-case letters, digits, \"_\" or \"-\""

/* [a-z][a-z0-9_-]{0,26}: what a domain may be called. */
bool domain_name_is_valid(const char *name);
