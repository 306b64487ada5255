/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table of commands. Results go to standard output, one line each, so that scripts can read them. */

#include "client/ctl/shell.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl/guess.h"
#include "client/ctl/human.h"
#include "client/ctl/limits.h"
#include "client/ctl/memory.h"

#define WORDS_MAX 66U
#define ROW 16U /* bytes in a line of "read" */

/* Seconds that "wait" and "expect" wait when nothing else is said. */
#define PATIENCE 60U

struct Shell {
        Peer *peer;
        PeerOps ops;
        uint64_t heard[VECTOR_MAX + 1]; /* rings that "wait" has not taken yet */
        bool server_gone;
        Input *input;               /* that is being waited for, with its prompt; NULL: a command runs */
        char *words[WORDS_MAX + 1]; /* of the command that runs; NULL behind them */
        size_t n_words;
        const char *rest; /* the line behind the second word */
};

typedef struct Command {
        const char *name;
        const char *arguments;
        size_t min;
        size_t max;
        ShellResult (*run)(Shell *shell);
        const char *help;
} Command;

static ShellResult complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static ShellResult complain(const char *format, ...) {
        va_list arguments;

        fflush(stdout);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        return SHELL_FAILED;
}

/* What comes by itself, and not as a command's answer, is written between these two. */
static void begin_telling(Shell *shell) {
        if (shell->input) {
                input_hide_prompt(shell->input);
        }
}

static void end_telling(Shell *shell) {
        fflush(stdout);
        if (shell->input) {
                input_show_prompt(shell->input);
        }
}

static void on_rung(uint32_t vector, uint64_t count, void *userdata) {
        Shell *shell = userdata;

        shell->heard[vector] += count;
        begin_telling(shell);
        printf("rung: vector %" PRIu32 ", %" PRIu64 " time%s\n", vector, count, human_plural(count));
        end_telling(shell);
}

/* ---- Arguments ---- */

static ShellResult read_number(const char *text, const char *what, uint64_t max, uint32_t *ret) {
        uint64_t number;

        if (human_parse_number(text, max, &number) < 0) {
                return complain("'%s' is no %s, which is a number from 0 to %" PRIu64, text, what, max);
        }
        *ret = (uint32_t) number;
        return SHELL_OK;
}

/* A place in the memory, and that `length` bytes are there. */
static ShellResult read_place(const Shell *shell, const char *text, uint64_t length, uint64_t *ret) {
        uint64_t size = peer_size(shell->peer), offset;

        if (human_parse_size(text, &offset) < 0) {
                return complain("'%s' is no offset, which is a number of bytes such as 4096, 4K or 0x1000",
                                text);
        }
        if (offset > size || length > size - offset) {
                return complain("%" PRIu64 " byte%s at %s would be beyond the memory, which has %" PRIu64,
                                length, human_plural(length), text, size);
        }
        *ret = offset;
        return SHELL_OK;
}

static ShellResult read_length(const char *text, uint64_t *ret) {
        return human_parse_size(text, ret) < 0 ? complain("'%s' is no number of bytes", text) : SHELL_OK;
}

/* ---- Waiting ---- */

/* Takes what comes within so much time. SHELL_FAILED: the server did not speak the protocol. */
static ShellResult process(Shell *shell, int timeout, int other, bool *ret_other) {
        char *error = NULL;
        int r = peer_process(shell->peer, timeout, other, ret_other, &error);

        if (r == -ECONNRESET) {
                shell->server_gone = true;
                begin_telling(shell);
                fprintf(stderr,
                        "The server closed the connection; memory and doorbells are still there, and nobody new will be.\n");
                end_telling(shell);
                return SHELL_OK;
        }
        return r == -EREMOTEIO ? complain("%s", error)
               : r < 0         ? complain("Failed to wait: %s", strerror(-r))
                               : SHELL_OK;
}

typedef bool (*Condition)(Shell *shell, uint32_t number);

static uint64_t monotonic(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t) time.tv_sec * 1000 + (uint64_t) time.tv_nsec / 1000000;
}

static ShellResult wait_for(Shell *shell, Condition condition, uint32_t number, uint32_t seconds,
                            const char *what) {
        uint64_t end = monotonic() + (uint64_t) seconds * 1000, now;
        ShellResult result = SHELL_OK;
        bool other;

        while (result == SHELL_OK && !condition(shell, number)) {
                now = monotonic();
                if (now >= end) {
                        return complain("%" PRIu32 " s passed without %s", seconds, what);
                }
                result = process(shell, (int) (end - now), -EBADF, &other);
        }
        return result;
}

/* Whether a vector was rung; takes its rings. */
static bool was_rung(Shell *shell, uint32_t vector) {
        bool rung = shell->heard[vector] > 0;

        shell->heard[vector] = 0;
        return rung;
}

static bool is_known(Shell *shell, uint32_t vm_id) {
        return peer_vectors(shell->peer, vm_id) > 0;
}

static ShellResult read_patience(const Shell *shell, size_t word, uint32_t *ret) {
        *ret = PATIENCE;
        return shell->n_words > word ? read_number(shell->words[word], "number of seconds", 86400, ret)
                                     : SHELL_OK;
}

/* ---- Commands ---- */

static ShellResult run_help(Shell *shell) {
        shell_print_help();
        return SHELL_OK;
}

static ShellResult run_info(Shell *shell) {
        uint32_t own = peer_vm_id(shell->peer), vectors = peer_vectors(shell->peer, own);

        printf("VM ID %" PRIu32 ", memory of %" PRIu64 " bytes, %" PRIu32 " vector%s\n", own,
               peer_size(shell->peer), vectors, human_plural(vectors));
        return SHELL_OK;
}

static ShellResult run_peers(Shell *shell) {
        for (uint32_t vm_id = 0; peer_next(shell->peer, vm_id, &vm_id); vm_id++) {
                uint32_t vectors = peer_vectors(shell->peer, vm_id);

                printf("VM ID %" PRIu32 ", %" PRIu32 " vector%s%s\n", vm_id, vectors, human_plural(vectors),
                       vm_id == peer_vm_id(shell->peer) ? ", ourselves" : "");
        }
        return SHELL_OK;
}

static ShellResult ring(const Shell *shell, uint32_t vm_id, uint32_t vector) {
        int r = peer_ring(shell->peer, vm_id, vector);

        return r == -ENOENT
                       ? complain("VM ID %" PRIu32 " has no vector %" PRIu32 "; see 'peers'", vm_id, vector)
               : r < 0 ? complain("Failed to ring: %s", strerror(-r))
                       : SHELL_OK;
}

static ShellResult run_ring(Shell *shell) {
        const char *which = shell->n_words > 2 ? shell->words[2] : "0";
        ShellResult result;
        uint32_t vm_id = 0, vector = 0;

        result = read_number(shell->words[1], "VM ID", VM_ID_MAX, &vm_id);
        if (result != SHELL_OK) {
                return result;
        }
        if (strcmp(which, "all") != 0) {
                result = read_number(which, "vector", VECTOR_MAX, &vector);
                return result == SHELL_OK ? ring(shell, vm_id, vector) : result;
        }
        do {
                result = ring(shell, vm_id, vector++);
        } while (result == SHELL_OK && vector < peer_vectors(shell->peer, vm_id));
        return result;
}

static ShellResult run_wait(Shell *shell) {
        uint32_t vector = 0, seconds;
        ShellResult result = read_number(shell->words[1], "vector", VECTOR_MAX, &vector);

        if (result == SHELL_OK) {
                result = read_patience(shell, 2, &seconds);
        }
        return result == SHELL_OK ? wait_for(shell, was_rung, vector, seconds, "a ring of this vector")
                                  : result;
}

static ShellResult run_expect(Shell *shell) {
        uint32_t vm_id = 0, seconds;
        ShellResult result = read_number(shell->words[1], "VM ID", VM_ID_MAX, &vm_id);

        if (result == SHELL_OK) {
                result = read_patience(shell, 2, &seconds);
        }
        return result == SHELL_OK ? wait_for(shell, is_known, vm_id, seconds, "this VM ID being announced")
                                  : result;
}

/* As hexdump -C has it. */
static void dump(uint64_t offset, const uint8_t *bytes, size_t n) {
        printf("%08" PRIx64 " ", offset);
        for (size_t i = 0; i < ROW; i++) {
                if (i < n) {
                        printf("%s%02x", i == ROW / 2 ? "  " : " ", bytes[i]);
                } else {
                        printf("%s  ", i == ROW / 2 ? "  " : " ");
                }
        }
        printf("  |");
        for (size_t i = 0; i < n; i++) {
                putchar(isprint(bytes[i]) ? bytes[i] : '.');
        }
        printf("|\n");
}

static ShellResult run_read(Shell *shell) {
        uint64_t offset, length = ROW;
        ShellResult result = shell->n_words > 2 ? read_length(shell->words[2], &length) : SHELL_OK;

        if (result == SHELL_OK) {
                result = read_place(shell, shell->words[1], length, &offset);
        }
        for (uint64_t done = 0; result == SHELL_OK && done < length; done += ROW) {
                size_t n = length - done < ROW ? (size_t) (length - done) : ROW;
                uint8_t bytes[ROW];

                memcpy(bytes, peer_memory(shell->peer) + offset + done, n); /* others may write meanwhile */
                dump(offset + done, bytes, n);
        }
        return result;
}

static ShellResult run_write(Shell *shell) {
        uint64_t offset;
        ShellResult result = read_place(shell, shell->words[1], strlen(shell->rest), &offset);

        if (result == SHELL_OK) {
                memcpy(peer_memory(shell->peer) + offset, shell->rest, strlen(shell->rest));
        }
        return result;
}

static ShellResult run_poke(Shell *shell) {
        size_t n = shell->n_words - 2;
        uint8_t bytes[WORDS_MAX];
        uint64_t offset;
        ShellResult result = read_place(shell, shell->words[1], n, &offset);

        for (size_t i = 0; i < n && result == SHELL_OK; i++) {
                const char *word = shell->words[2 + i];

                if (!isxdigit((unsigned char) word[0]) || !isxdigit((unsigned char) word[1]) || word[2]) {
                        return complain("'%s' is no byte, which is two hexadecimal digits", word);
                }
                bytes[i] = (uint8_t) strtoul(word, NULL, 16);
        }
        if (result == SHELL_OK) {
                memcpy(peer_memory(shell->peer) + offset, bytes, n);
        }
        return result;
}

static ShellResult run_quit(Shell *shell) {
        return SHELL_QUIT;
}

static const Command command_table[] = {
        { "help", "", 0, 0, run_help, "these commands" },
        { "info", "", 0, 0, run_info, "our VM ID, memory and vectors" },
        { "peers", "", 0, 0, run_peers, "the VM IDs that can be rung; not all need be there" },
        { "ring", "VM-ID [VECTOR|all]", 1, 2, run_ring, "ring a doorbell (vector 0)" },
        { "wait", "VECTOR [SECONDS]", 1, 2, run_wait, "wait until our doorbell was rung (60 s at most)" },
        { "expect", "VM-ID [SECONDS]", 1, 2, run_expect, "wait until a VM ID was announced (60 s at most)" },
        { "read", "OFFSET [LENGTH]", 1, 2, run_read, "show bytes of the memory (16)" },
        { "write", "OFFSET TEXT", 2, SIZE_MAX, run_write, "write the rest of the line into the memory" },
        { "poke", "OFFSET BYTE...", 2, WORDS_MAX - 1, run_poke, "write bytes: poke 0x100 de ad be ef" },
        { "quit", "", 0, 0, run_quit, "leave the domain" },
};

#define N_COMMANDS (sizeof(command_table) / sizeof(*command_table))

void shell_print_help(void) {
        for (size_t i = 0; i < N_COMMANDS; i++) {
                char usage[40];

                snprintf(usage, sizeof(usage), "%s %s", command_table[i].name, command_table[i].arguments);
                printf("  %-28s %s\n", usage, command_table[i].help);
        }
}

static ShellResult no_command(const char *name) {
        Guess guess = { .typed = name };

        for (size_t i = 0; i < N_COMMANDS; i++) {
                guess_try(&guess, command_table[i].name);
        }
        return guess.best ? complain("There is no command '%s'; did you mean '%s'?", name, guess.best)
                          : complain("There is no command '%s'; see 'help'", name);
}

/* At blanks, in place. What is behind the second word is kept as it is too. */
static void split(Shell *shell, const void *ctx, const char *line) {
        char *rest = text_new(ctx, "%s", line);

        line += strspn(line, " \t");
        line += strcspn(line, " \t");
        line += strspn(line, " \t");
        line += strcspn(line, " \t");
        shell->rest = *line ? line + 1 : line;
        shell->n_words = 0;
        for (char *word; (word = strsep(&rest, " \t")) && shell->n_words < WORDS_MAX;) {
                if (*word) {
                        shell->words[shell->n_words++] = word;
                }
        }
        shell->words[shell->n_words] = NULL;
}

static ShellResult run_words(Shell *shell) {
        if (shell->n_words == 0 || shell->words[0][0] == '#') {
                return SHELL_OK;
        }
        for (size_t i = 0; i < N_COMMANDS; i++) {
                const Command *command = &command_table[i];

                if (strcmp(command->name, shell->words[0]) != 0) {
                        continue;
                }
                if (shell->n_words - 1 < command->min || shell->n_words - 1 > command->max) {
                        return complain("It is: %s %s", command->name, command->arguments);
                }
                return command->run(shell);
        }
        return no_command(shell->words[0]);
}

ShellResult shell_run(Shell *shell, const char *line) {
        void *scratch = need(talloc_new(shell));
        ShellResult result;
        bool other;

        split(shell, scratch, line);
        result = process(shell, 0, -EBADF, &other); /* what has come belongs before the command */
        result = result == SHELL_OK ? run_words(shell) : result;
        fflush(stdout);
        talloc_free(scratch);
        return result;
}

ShellResult shell_wait_input(Shell *shell, Input *input) {
        ShellResult result = SHELL_OK;
        bool ready = false;

        shell->input = input;
        while (result == SHELL_OK && !ready && !input_has_line(input)) {
                result = process(shell, -1, STDIN_FILENO, &ready);
        }
        shell->input = NULL;
        if (ready && result == SHELL_OK) {
                input_read(input);
        }
        return result;
}

/* Memory that is a file can be cut off by those who may write to it. */
static void on_bus_error(int signal) {
        static const char text[] =
                "The memory is not there any more: its file was cut, or no page is left for it\n";

        (void) !write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(EXIT_FAILURE);
}

/* Our own doorbells come last, so all others are known then too. */
static bool is_set_up(Shell *shell, uint32_t vectors) {
        return peer_vectors(shell->peer, peer_vm_id(shell->peer)) >= vectors;
}

Shell *shell_new(void *ctx, int socket, uint32_t vectors) {
        Shell *shell = need(talloc_zero(ctx, Shell));
        struct sigaction action = { .sa_handler = on_bus_error };
        char *error = NULL;
        int r;

        sigaction(SIGBUS, &action, NULL);
        shell->ops = (PeerOps){ .rung = on_rung, .userdata = shell };
        r = peer_new(shell, socket, &shell->ops, &shell->peer, &error);
        if (r < 0) {
                complain("Failed to join: %s", error              ? error
                                               : r == -ECONNRESET ? "the server closed the connection"
                                                                  : strerror(-r));
                talloc_free(shell);
                return NULL;
        }
        if (wait_for(shell, is_set_up, vectors, PATIENCE, "our doorbells") != SHELL_OK) {
                talloc_free(shell);
                return NULL;
        }
        return shell;
}
