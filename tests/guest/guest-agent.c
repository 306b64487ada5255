/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs inside the Linux guests of the end-to-end tests: reads one-line commands from a serial port, carries them out on
 * the ivshmem device, and answers each with one line, "ok [RESULT]" or "error WHY". It says "ready" once, when the
 * device is up, or "failed WHY". It decides nothing: what is right is the business of the test on the host.
 *
 *   info                    id=VMID vectors=N size=BYTES (vectors=0: ivshmem-plain)
 *   read OFFSET LENGTH      the bytes in hexadecimal
 *   write OFFSET HEX
 *   fill OFFSET LENGTH SEED writes a pattern that depends on the seed
 *   sum OFFSET LENGTH       CRC-32 (as in zlib) of the bytes
 *   ring PEER VECTOR
 *   wait VECTOR TIMEOUT_MS  the rings that arrived since this vector was last asked for; 0 after the timeout
 *   counts                  all rings since the boot, one number per vector
 *   reboot, poweroff
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "tests/guest/ivshmem-vfio.h"

#define BYTES_MAX 2048U /* in one read or write command */
#define LINE_SIZE (2U * BYTES_MAX + 64U)
#define ARGUMENTS_MAX 3U

typedef struct Agent {
        FILE *input; /* both are the port: a stream of its own for each direction */
        FILE *output;
        IvshmemDevice device;
        uint64_t rings[IVSHMEM_VECTORS_MAX];   /* since the boot */
        uint64_t pending[IVSHMEM_VECTORS_MAX]; /* of these, not yet reported by "wait" */
} Agent;

/* What stood behind the command's name; n counts also those that are too many to keep. */
typedef struct Arguments {
        size_t n;
        const char *text[ARGUMENTS_MAX];
} Arguments;

static void answer(Agent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(Agent *agent, const char *format, ...) {
        va_list list;

        va_start(list, format);
        (void) vfprintf(agent->output, format, list);
        va_end(list);
        (void) fputc('\n', agent->output);
        (void) fflush(agent->output);
}

static bool number_parse(Agent *agent, const char *text, uint64_t limit, uint64_t *ret) {
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(text, &end, 0);
        if (errno != 0 || end == text || *end != '\0' || *text == '-') {
                answer(agent, "error '%.32s' is not a number", text);
                return false;
        }
        if (value > limit) {
                answer(agent, "error %llu is too large, the limit is %llu", value,
                       (unsigned long long) limit);
                return false;
        }
        *ret = value;
        return true;
}

/* Offset and length of a piece of the memory that lies within it. */
static bool range_parse(Agent *agent, const Arguments *arguments, uint64_t length_limit, uint8_t **ret_start,
                        size_t *ret_length) {
        const size_t size = agent->device.memory_size;
        uint64_t offset, length;

        if (!number_parse(agent, arguments->text[0], size, &offset) ||
            !number_parse(agent, arguments->text[1], length_limit, &length)) {
                return false;
        }
        if (length > size - offset) {
                answer(agent, "error the memory ends at %zu", size);
                return false;
        }
        *ret_start = agent->device.memory + offset;
        *ret_length = (size_t) length;
        return true;
}

static bool vector_parse(Agent *agent, const char *text, unsigned int *ret_vector) {
        uint64_t vector;

        if (agent->device.n_vectors == 0) {
                answer(agent, "error this device has no doorbells");
                return false;
        }
        if (!number_parse(agent, text, agent->device.n_vectors - 1, &vector)) {
                return false;
        }
        *ret_vector = (unsigned int) vector;
        return true;
}

static void command_info(Agent *agent, const Arguments *arguments) {
        uint32_t position;
        int r;

        (void) arguments;
        r = ivshmem_device_position(&agent->device, &position);
        if (r < 0) {
                answer(agent, "error cannot read IVPosition: %s", strerror(-r));
                return;
        }
        answer(agent, "ok id=%u vectors=%u size=%zu", position, agent->device.n_vectors,
               agent->device.memory_size);
}

static void command_read(Agent *agent, const Arguments *arguments) {
        char text[2 * BYTES_MAX + 1] = "";
        uint8_t *start;
        size_t length;

        if (!range_parse(agent, arguments, BYTES_MAX, &start, &length)) {
                return;
        }
        for (size_t i = 0; i < length; i++) {
                (void) snprintf(text + 2 * i, 3, "%02x", start[i]);
        }
        answer(agent, "ok %s", text);
}

static int hex_digit(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *found;

        found = c == '\0' ? NULL : strchr(digits, c);
        return found ? (int) (found - digits) : -EINVAL;
}

static void command_write(Agent *agent, const Arguments *arguments) {
        const char *hex = arguments->text[1];
        const size_t length = strlen(hex) / 2;
        uint64_t offset;

        if (!number_parse(agent, arguments->text[0], agent->device.memory_size, &offset)) {
                return;
        }
        if (strlen(hex) % 2 != 0 || strspn(hex, "0123456789abcdef") != strlen(hex)) {
                answer(agent, "error the bytes must be pairs of lower-case hexadecimal digits");
                return;
        }
        if (length > agent->device.memory_size - offset) {
                answer(agent, "error the memory ends at %zu", agent->device.memory_size);
                return;
        }
        for (size_t i = 0; i < length; i++) {
                agent->device.memory[offset + i] = (uint8_t) (hex_digit(hex[2 * i]) << 4 |
                                                              hex_digit(hex[2 * i + 1]));
        }
        answer(agent, "ok");
}

/* The i-th word of the splitmix64 sequence that begins at seed. */
static uint64_t pattern_word(uint64_t seed, uint64_t i) {
        uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static void command_fill(Agent *agent, const Arguments *arguments) {
        uint64_t seed, word;
        uint8_t *start;
        size_t length;

        if (!range_parse(agent, arguments, UINT64_MAX, &start, &length) ||
            !number_parse(agent, arguments->text[2], UINT64_MAX, &seed)) {
                return;
        }
        for (size_t i = 0; i < length; i += sizeof(word)) {
                const size_t rest = length - i;

                word = pattern_word(seed, i / sizeof(word));
                memcpy(start + i, &word, rest < sizeof(word) ? rest : sizeof(word));
        }
        answer(agent, "ok");
}

static void crc32_table_init(uint32_t *table) {
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t value = i;

                for (int bit = 0; bit < 8; bit++) {
                        value = value & 1 ? UINT32_C(0xedb88320) ^ value >> 1 : value >> 1;
                }
                table[i] = value;
        }
}

static uint32_t crc32_compute(const uint8_t *start, size_t length) {
        static uint32_t table[256];
        uint32_t crc = UINT32_MAX;

        if (table[1] == 0) {
                crc32_table_init(table);
        }
        for (size_t i = 0; i < length; i++) {
                crc = table[(crc ^ start[i]) & 0xff] ^ crc >> 8;
        }
        return ~crc;
}

static void command_sum(Agent *agent, const Arguments *arguments) {
        uint8_t *start;
        size_t length;

        if (!range_parse(agent, arguments, UINT64_MAX, &start, &length)) {
                return;
        }
        answer(agent, "ok %08x", crc32_compute(start, length));
}

static void command_ring(Agent *agent, const Arguments *arguments) {
        uint64_t peer, vector;
        int r;

        if (agent->device.n_vectors == 0) {
                answer(agent, "error this device has no doorbells");
                return;
        }
        if (!number_parse(agent, arguments->text[0], UINT16_MAX, &peer) ||
            !number_parse(agent, arguments->text[1], UINT16_MAX, &vector)) {
                return;
        }
        r = ivshmem_device_ring(&agent->device, (uint16_t) peer, (uint16_t) vector);
        if (r < 0) {
                answer(agent, "error cannot write the doorbell: %s", strerror(-r));
                return;
        }
        answer(agent, "ok");
}

static void vector_collect(Agent *agent, unsigned int vector) {
        uint64_t n;

        if (read(agent->device.vector_fds[vector], &n, sizeof(n)) == (ssize_t) sizeof(n)) {
                agent->rings[vector] += n;
                agent->pending[vector] += n;
        }
}

static void command_wait(Agent *agent, const Arguments *arguments) {
        struct pollfd event = { .events = POLLIN };
        unsigned int vector;
        uint64_t timeout_ms;

        if (!vector_parse(agent, arguments->text[0], &vector) ||
            !number_parse(agent, arguments->text[1], 600000, &timeout_ms)) {
                return;
        }
        if (agent->pending[vector] == 0) {
                event.fd = agent->device.vector_fds[vector];
                (void) poll(&event, 1, (int) timeout_ms);
        }
        vector_collect(agent, vector);
        answer(agent, "ok %llu", (unsigned long long) agent->pending[vector]);
        agent->pending[vector] = 0;
}

static void command_counts(Agent *agent, const Arguments *arguments) {
        (void) arguments;
        (void) fputs("ok", agent->output);
        for (unsigned int i = 0; i < agent->device.n_vectors; i++) {
                vector_collect(agent, i);
                (void) fprintf(agent->output, " %llu", (unsigned long long) agent->rings[i]);
        }
        answer(agent, "%s", "");
}

/* Only a failure of reboot(2) comes back. The answer must have left the port before the machine goes. */
static void machine_leave(Agent *agent, int how) {
        answer(agent, "ok");
        (void) tcdrain(fileno(agent->output));
        (void) reboot(how);
        answer(agent, "failed reboot: %s", strerror(errno));
}

static void command_reboot(Agent *agent, const Arguments *arguments) {
        (void) arguments;
        machine_leave(agent, RB_AUTOBOOT);
}

static void command_poweroff(Agent *agent, const Arguments *arguments) {
        (void) arguments;
        machine_leave(agent, RB_POWER_OFF);
}

typedef struct Command {
        const char *name;
        size_t n_arguments;
        void (*run)(Agent *agent, const Arguments *arguments);
} Command;

static const Command commands[] = {
        { "counts", 0, command_counts },     { "fill", 3, command_fill },
        { "info", 0, command_info },         { "read", 2, command_read },
        { "poweroff", 0, command_poweroff }, { "reboot", 0, command_reboot },
        { "ring", 2, command_ring },         { "sum", 2, command_sum },
        { "wait", 2, command_wait },         { "write", 2, command_write },
};

static const Command *command_find(const char *name) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                if (strcmp(commands[i].name, name) == 0) {
                        return &commands[i];
                }
        }
        return NULL;
}

static void line_execute(Agent *agent, char *line) {
        Arguments arguments = { .n = 0 };
        const Command *command;
        char *word, *save = NULL;

        word = strtok_r(line, " ", &save);
        if (!word) {
                answer(agent, "error empty command");
                return;
        }
        command = command_find(word);
        if (!command) {
                answer(agent, "error unknown command '%.32s'", word);
                return;
        }
        while ((word = strtok_r(NULL, " ", &save))) {
                if (arguments.n < ARGUMENTS_MAX) {
                        arguments.text[arguments.n] = word;
                }
                arguments.n++;
        }
        if (arguments.n != command->n_arguments) {
                answer(agent, "error %s takes %zu arguments, not %zu", command->name, command->n_arguments,
                       arguments.n);
                return;
        }
        command->run(agent, &arguments);
}

/* Raw, so that the line discipline neither echoes nor limits a line. */
static int port_open(Agent *agent, const char *path) {
        struct termios mode;
        int fd;

        fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || tcgetattr(fd, &mode) < 0) {
                return -errno;
        }
        cfmakeraw(&mode);
        (void) cfsetspeed(&mode, B115200);
        if (tcsetattr(fd, TCSANOW, &mode) < 0) {
                return -errno;
        }
        agent->input = fdopen(fd, "r");
        agent->output = fdopen(dup(fd), "w");
        return agent->input && agent->output ? 0 : -ENOMEM;
}

/* Reads a line, without its end, of which at most size - 1 characters are kept. Returns its whole length, or -1. */
static ssize_t line_read(FILE *input, char *ret_line, size_t size) {
        size_t n = 0;
        int c;

        while ((c = getc(input)) != '\n') {
                if (c == EOF) {
                        return -1;
                }
                if (n < size - 1) {
                        ret_line[n] = (char) c;
                }
                n++;
        }
        ret_line[n < size ? n : size - 1] = '\0';
        return (ssize_t) n;
}

static void serve(Agent *agent) {
        static char line[LINE_SIZE];
        ssize_t n;

        while ((n = line_read(agent->input, line, sizeof(line))) >= 0) {
                if ((size_t) n >= sizeof(line)) {
                        answer(agent, "error the line has %zd characters, the limit is %zu", n,
                               sizeof(line) - 1);
                } else {
                        line_execute(agent, line);
                }
        }
}

int main(int argc, char **argv) {
        Agent agent = { .input = NULL };
        const char *step;
        int r;

        if (argc != 2) {
                (void) fprintf(stderr, "usage: %s SERIAL-PORT\n", argv[0]);
                return EXIT_FAILURE;
        }
        r = port_open(&agent, argv[1]);
        if (r < 0) {
                (void) fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
                return EXIT_FAILURE;
        }
        r = ivshmem_device_open(&agent.device, &step);
        if (r < 0) {
                answer(&agent, "failed to %s: %s", step, strerror(-r));
                return EXIT_FAILURE;
        }
        answer(&agent, "ready");
        serve(&agent);
        return EXIT_SUCCESS;
}
