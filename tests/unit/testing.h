/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each cmocka test has: a talloc context as its state, which must be empty at the end but for what it held at the
 * beginning, so that each test is a leak test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/* cmocka needs the four above first. */
#include <cmocka.h>

int leak_check_setup(void **state);

/* Fails when chunks are left below the test's context. A test frees what it made. */
int leak_check_teardown(void **state);

/* A row of the test table; `context = *state` is the talloc context. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, leak_check_setup, leak_check_teardown)
