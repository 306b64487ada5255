/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of values that single settings have: read strictly, written canonically, compared. What several settings
 * mean together is not judged here. */

#include "service/base/error.h"
#include "service/core/definition-keys.h"
#include "service/core/text.h"
#include "service/core/utf8.h"

#include <inttypes.h>
#include <string.h>
#include <talloc.h>

#define NUMA_NODES_MAX 1024U

/* ftruncate() and mmap() count in signed numbers. */
#define SIZE_LARGEST (UINT64_C(1) << 62)

/* Hands out `text`, or -ENOMEM when making it failed. */
static int printed(char *text, char **ret) {
        if (!text) {
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

/* A field that is a string: takes the place of the one before. */
static int string_set(void *ctx, const char *text, char **field) {
        char *copy = talloc_strdup(ctx, text);

        if (!copy) {
                return -ENOMEM;
        }
        talloc_free(*field);
        *field = copy;
        return 0;
}

static int string_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        const char *const *text = field;

        return *text ? printed(talloc_strdup(ctx, *text), ret) : 0;
}

static void string_clear(const DefinitionKey *key, void *field) {
        TALLOC_FREE(*(char **) field);
}

static bool text_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool string_equal(const DefinitionKey *key, const void *a, const void *b) {
        return text_equal(*(const char *const *) a, *(const char *const *) b);
}

/* What a value may not be because a definition could not say it. NULL when there is nothing of the kind. */
static const char *text_fault(const char *text) {
        size_t length = strlen(text);

        if (length == 0) {
                return "is empty; remove the line, or give a value";
        }
        if (text[0] == ' ' || text[length - 1] == ' ') {
                return "begins or ends with a blank; remove it";
        }
        if (strstr(text, " ;")) {
                return "has a semicolon after a blank, which begins a comment; write it without the blank";
        }
        return utf8_check(text, length, NULL) == UTF8_OK
                       ? NULL
                       : "is not plain UTF-8 text; remove what cannot be seen";
}

static int text_parse(void *ctx, const DefinitionKey *key, const char *text, void *field, char **ret_error) {
        const char *fault = text_fault(text);

        if (fault) {
                return definition_refuse(ctx, ret_error, "%s= %s", key->name, fault);
        }
        return string_set(ctx, text, field);
}

const ValueType value_text = {
        .parse = text_parse, .print = string_print, .equal = string_equal, .clear = string_clear
};

/* Whether an absolute path has a component of this name. */
static bool path_has(const char *path, const char *name) {
        size_t length = strlen(name);

        do {
                const char *component = path + 1;

                path = strchrnul(component, '/');
                if ((size_t) (path - component) == length && memcmp(component, name, length) == 0) {
                        return true;
                }
        } while (*path);
        return false;
}

static const char *path_fault(const char *path) {
        const char *fault = text_fault(path);

        if (fault) {
                return fault;
        }
        if (path[0] != '/') {
                return "is not absolute; begin it with /";
        }
        if (path_has(path, "..")) {
                return "leads upwards; write it without \"..\"";
        }
        if (path_has(path, ".") || path_has(path, "")) {
                return "is not in its shortest form; write it without \".\", \"//\" or a slash at the end";
        }
        return NULL;
}

static int path_parse(void *ctx, const DefinitionKey *key, const char *text, void *field, char **ret_error) {
        const char *fault = path_fault(text);

        if (fault) {
                return definition_refuse(ctx, ret_error, "%s=%s %s", key->name, text, fault);
        }
        return string_set(ctx, text, field);
}

const ValueType value_path = {
        .parse = path_parse, .print = string_print, .equal = string_equal, .clear = string_clear
};

/* Reads one number below NUMA_NODES_MAX, without zeros in front. */
static bool node_parse(const char **text, uint32_t *ret) {
        const char *c = *text;
        uint32_t node = 0;

        while (*c >= '0' && *c <= '9' && node < NUMA_NODES_MAX) {
                node = node * 10 + (uint32_t) (*c++ - '0');
        }
        if (c == *text || node >= NUMA_NODES_MAX || (**text == '0' && c > *text + 1)) {
                return false;
        }
        *text = c;
        *ret = node;
        return true;
}

/* Ascending numbers and ranges between commas. */
static bool nodes_are_valid(const char *text) {
        uint32_t least = 0, first, last;

        for (;; text++) {
                if (!node_parse(&text, &first) || first < least) {
                        return false;
                }
                last = first;
                if (*text == '-') {
                        text++;
                        if (!node_parse(&text, &last) || last <= first) {
                                return false;
                        }
                }
                least = last + 1;
                if (*text != ',') {
                        return *text == '\0';
                }
        }
}

static int nodes_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                       char **ret_error) {
        if (!nodes_are_valid(text)) {
                return definition_refuse(
                        ctx, ret_error,
                        "%s=%s is no list of nodes; write ascending numbers and ranges below %u, as "
                        "in 0-1,3",
                        key->name, text, NUMA_NODES_MAX);
        }
        return string_set(ctx, text, field);
}

const ValueType value_nodes = {
        .parse = nodes_parse, .print = string_print, .equal = string_equal, .clear = string_clear
};

/* "no, 2M, 1G": the names that a key knows. NULL when out of memory. */
static char *names_join(void *ctx, const DefinitionKey *key) {
        char *joined = talloc_strdup(ctx, "");

        for (size_t i = 0; i < key->n_names && joined; i++) {
                if (key->names[i]) {
                        joined = talloc_asprintf_append_buffer(joined, "%s%s", *joined ? ", " : "",
                                                               key->names[i]);
                }
        }
        return joined;
}

static int names_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                       char **ret_error) {
        int value = name_parse(key->names, key->n_names, text);
        char *known;
        int r;

        if (value >= 0) {
                *(int *) field = value;
                return 0;
        }
        known = names_join(ctx, key);
        if (!known) {
                return -ENOMEM;
        }
        r = definition_refuse(ctx, ret_error, "%s=%s is none of %s", key->name, text, known);
        talloc_free(known);
        return r;
}

static int names_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        const char *name = name_of(key->names, key->n_names, *(const int *) field);

        return name ? printed(talloc_strdup(ctx, name), ret) : 0;
}

static bool int_equal(const DefinitionKey *key, const void *a, const void *b) {
        return *(const int *) a == *(const int *) b;
}

const ValueType value_names = { .parse = names_parse, .print = names_print, .equal = int_equal };

static int boolean_value_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                               char **ret_error) {
        if (boolean_parse(text, field) < 0) {
                return definition_refuse(ctx, ret_error, "%s=%s is neither yes nor no", key->name, text);
        }
        return 0;
}

static int boolean_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        return printed(talloc_strdup(ctx, *(const bool *) field ? "yes" : "no"), ret);
}

static bool boolean_equal(const DefinitionKey *key, const void *a, const void *b) {
        return *(const bool *) a == *(const bool *) b;
}

const ValueType value_boolean = { .parse = boolean_value_parse,
                                  .print = boolean_print,
                                  .equal = boolean_equal };

static int number_value_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                              char **ret_error) {
        uint32_t value;

        if (number_parse(text, key->max, &value) < 0 || value < key->min) {
                return definition_refuse(ctx, ret_error, "%s=%s is no number from %" PRIu32 " to %" PRIu32,
                                         key->name, text, key->min, key->max);
        }
        *(uint32_t *) field = value;
        return 0;
}

static int number_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        return printed(talloc_asprintf(ctx, "%" PRIu32, *(const uint32_t *) field), ret);
}

static bool number_equal(const DefinitionKey *key, const void *a, const void *b) {
        return *(const uint32_t *) a == *(const uint32_t *) b;
}

const ValueType value_number = { .parse = number_value_parse, .print = number_print, .equal = number_equal };

static int mode_value_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                            char **ret_error) {
        if (mode_parse(text, field) < 0) {
                return definition_refuse(ctx, ret_error,
                                         "%s=%s is no file mode; write octal digits up to 0777, as in 0660",
                                         key->name, text);
        }
        return 0;
}

static int mode_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        return printed(talloc_asprintf(ctx, "%04" PRIo32, *(const uint32_t *) field), ret);
}

const ValueType value_mode = { .parse = mode_value_parse, .print = mode_print, .equal = number_equal };

/* Names the powers of two on both sides of a size that is none. */
static int size_refuse(void *ctx, const DefinitionKey *key, const char *text, uint64_t size,
                       char **ret_error) {
        char below[SIZE_TEXT_MAX], above[SIZE_TEXT_MAX];
        uint64_t power = UINT64_C(1) << (63 - __builtin_clzll(size));

        size_format(power, below);
        size_format(power * 2, above);
        return definition_refuse(ctx, ret_error, "%s=%s is not a power of two; write %s or %s", key->name,
                                 text, below, above);
}

static int size_value_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                            char **ret_error) {
        uint64_t size = 0;
        int r = size_parse(text, &size);

        if (r == -EINVAL) {
                return definition_refuse(
                        ctx, ret_error,
                        "%s=%s is no size; write a number of bytes, or one with K, M, G or T, as in 64M",
                        key->name, text);
        }
        if (r < 0 || size > SIZE_LARGEST) {
                return definition_refuse(ctx, ret_error, "%s=%s is more than any machine can address",
                                         key->name, text);
        }
        if (size == 0) {
                return definition_refuse(ctx, ret_error, "%s=%s is nothing; write a size, as in 64M",
                                         key->name, text);
        }
        /* What is less than any page is told the page it has to be, when HugePages= is known as well. */
        if ((size & (size - 1)) && size > huge_pages_size(HUGE_PAGES_NONE)) {
                return size_refuse(ctx, key, text, size, ret_error);
        }
        *(uint64_t *) field = size;
        return 0;
}

static int size_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        uint64_t size = *(const uint64_t *) field;
        char text[SIZE_TEXT_MAX];

        if (size == 0) {
                return 0;
        }
        size_format(size, text);
        return printed(talloc_strdup(ctx, text), ret);
}

static bool size_equal(const DefinitionKey *key, const void *a, const void *b) {
        return *(const uint64_t *) a == *(const uint64_t *) b;
}

static void size_clear(const DefinitionKey *key, void *field) {
        *(uint64_t *) field = 0;
}

const ValueType value_size = {
        .parse = size_value_parse, .print = size_print, .equal = size_equal, .clear = size_clear
};
