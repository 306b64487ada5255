/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says of the process that opened a connection. Nothing that the process says of itself is used. */

#include "service/server/peercred.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define MACHINE_SCOPE_PREFIX "machine-"
#define MACHINE_SCOPE_SUFFIX ".scope"

/* Of the list of cgroups that a process is in: the manager's own hierarchy where there are several, else the only one. */
#define MANAGERS_HIERARCHY ":name=systemd:"
#define UNIFIED_HIERARCHY "0::"

/* Longer than what any process of a unit has. */
#define CGROUPS_MAX 16384

/* Where the manager itself is, below the root of its units. */
#define INIT_SCOPE "/init.scope"

static int read_groups(int socket, Credentials *credentials) {
        gid_t *groups = NULL;
        socklen_t length = 0;

        /* The first call tells how many bytes there are. */
        if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) >= 0) {
                return 0;
        }
        if (errno != ERANGE) {
                return errno_negative();
        }
        groups = talloc_size(credentials, length);
        if (!groups) {
                return -ENOMEM;
        }
        if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0) {
                return errno_negative();
        }
        credentials->groups = groups;
        credentials->n_groups = length / sizeof(*groups);
        return 0;
}

/* The label stays NULL where no security module labels sockets. */
static int read_label(int socket, Credentials *credentials) {
        char label[256];
        socklen_t length = sizeof(label) - 1;

        if (getsockopt(socket, SOL_SOCKET, SO_PEERSEC, label, &length) < 0) {
                return errno == ENOPROTOOPT || errno == ERANGE ? 0 : errno_negative();
        }
        label[length] = '\0';
        credentials->label = talloc_strdup(credentials, label);
        return credentials->label ? 0 : -ENOMEM;
}

static int pidfd_of(pid_t pid) {
        return errno_or((int) syscall(SYS_pidfd_open, pid, 0));
}

int pidfd_of_peer(int socket, pid_t pid) {
        socklen_t length = sizeof(int);
        int fd;

        if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) >= 0) {
                return fd;
        }
        return errno == ENOPROTOOPT ? pidfd_of(pid) : errno_negative();
}

static bool process_lives(int pidfd) {
        struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

        return poll(&pollfd, 1, 0) == 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9') {
                return c - '0';
        }
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes systemd's escaping of unit names (systemd.unit(5)): "\x2d" is "-". */
static void unescape_unit(char *name) {
        char *out = name;

        for (const char *in = name; *in; in++) {
                if (in[0] == '\\' && in[1] == 'x' && hex_digit(in[2]) >= 0 && hex_digit(in[3]) >= 0) {
                        *out++ = (char) (hex_digit(in[2]) * 16 + hex_digit(in[3]));
                        in += 3;
                } else {
                        *out++ = *in;
                }
        }
        *out = '\0';
}

static bool has_suffix(const char *text, size_t length, const char *suffix) {
        size_t n = strlen(suffix);

        return length > n && memcmp(text + length - n, suffix, n) == 0;
}

/* A unit that processes are in. Only the manager makes cgroups above these, so a suffix tells. */
static bool is_unit(const char *name, size_t length) {
        static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };
        bool is = false;

        for (size_t i = 0; !is && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
                is = has_suffix(name, length, suffixes[i]);
        }
        return is;
}

char *unit_of_cgroup(void *ctx, const char *units_root, const char *cgroup) {
        size_t root = strlen(units_root), length;

        if (strncmp(cgroup, units_root, root) != 0) {
                return NULL;
        }
        for (cgroup += root; *cgroup == '/'; cgroup += length) {
                cgroup += strspn(cgroup, "/");
                /* What would be mistaken for a file of the kernel's has an underscore before its name. */
                cgroup += *cgroup == '_';
                length = strcspn(cgroup, "/");
                if (is_unit(cgroup, length)) {
                        return talloc_strndup(ctx, cgroup, length);
                }
                if (!has_suffix(cgroup, length, ".slice")) {
                        break;
                }
        }
        return NULL;
}

char *machine_of_unit(void *ctx, const char *unit) {
        size_t prefix = strlen(MACHINE_SCOPE_PREFIX), length = strlen(unit);
        char *name;

        if (strncmp(unit, MACHINE_SCOPE_PREFIX, prefix) != 0 ||
            !has_suffix(unit + prefix, length - prefix, MACHINE_SCOPE_SUFFIX)) {
                return NULL;
        }
        name = talloc_strndup(ctx, unit + prefix, length - prefix - strlen(MACHINE_SCOPE_SUFFIX));
        if (name) {
                unescape_unit(name);
        }
        return name;
}

/* What systemd-machined registered, else what the unit's name says. */
static char *read_machine(void *ctx, pid_t pid, const char *unit) {
        char *registered = NULL, *machine;

        if (sd_pid_get_machine_name(pid, &registered) < 0) {
                return machine_of_unit(ctx, unit);
        }
        machine = talloc_strdup(ctx, registered);
        free(registered);
        return machine;
}

/* That something is short is an error, for a peer must not be taken for another; that there is no unit is not. */
static int short_or_none(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : 0;
}

char *managers_cgroup(char *list) {
        size_t length = strlen(MANAGERS_HIERARCHY);
        char *unified = NULL, *line;

        while ((line = strsep(&list, "\n"))) {
                char *controllers = strchr(line, ':');

                if (controllers && strncmp(controllers, MANAGERS_HIERARCHY, length) == 0) {
                        return controllers + length;
                }
                if (strncmp(line, UNIFIED_HIERARCHY, strlen(UNIFIED_HIERARCHY)) == 0) {
                        unified = line + strlen(UNIFIED_HIERARCHY);
                }
        }
        return unified;
}

/* Reads a process's cgroup into `list`; *ret is in it, or NULL when it cannot be known. Negative errno only when
 * something is short. */
static int read_cgroup(pid_t pid, char list[static CGROUPS_MAX], char **ret) {
        cleanup_close int fd = -EBADF;
        char path[32];
        ssize_t n;

        *ret = NULL;
        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                return short_or_none(errno_negative());
        }
        /* All at once, as the kernel prints it. */
        n = read(fd, list, CGROUPS_MAX);
        if (n < 0) {
                return short_or_none(errno_negative());
        }
        if (n < CGROUPS_MAX) {
                list[n] = '\0';
                *ret = managers_cgroup(list);
        }
        return 0;
}

int peercred_units_root(void *ctx, char **ret) {
        char list[CGROUPS_MAX], *cgroup, *root;
        size_t length;
        int r = read_cgroup(/* pid= */ 1, list, &cgroup);

        if (r < 0) {
                return r;
        }
        if (!cgroup) {
                *ret = NULL;
                return 0;
        }
        length = strlen(cgroup);
        if (length >= strlen(INIT_SCOPE) && strcmp(cgroup + length - strlen(INIT_SCOPE), INIT_SCOPE) == 0) {
                length -= strlen(INIT_SCOPE);
        } else if (strcmp(cgroup, "/") == 0) {
                length = 0;
        }
        root = talloc_strndup(ctx, cgroup, length);
        if (!root) {
                return -ENOMEM;
        }
        *ret = root;
        return 0;
}

/* Unit and machine of whoever has the PID now. */
static int read_unit(const char *units_root, Credentials *credentials) {
        char list[CGROUPS_MAX], *cgroup = NULL;
        int r = units_root ? read_cgroup(credentials->pid, list, &cgroup) : 0;

        if (r < 0) {
                return r;
        }
        if (cgroup) {
                credentials->unit = unit_of_cgroup(credentials, units_root, cgroup);
        }
        if (credentials->unit) {
                credentials->machine = read_machine(credentials, credentials->pid, credentials->unit);
        }
        return 0;
}

static void forget_unit(Credentials *credentials) {
        credentials->unit = NULL;
        credentials->machine = NULL;
}

/* One descriptor after the other, and a pidfd only where there is something to be sure of. */
static int read_unit_of_peer(int socket, const char *units_root, Credentials *credentials) {
        cleanup_close int pidfd = -EBADF;
        int r;

        if (credentials->pid == 0) {
                /* A process of a PID namespace that ours cannot see. */
                return 0;
        }
        r = read_unit(units_root, credentials);
        if (r < 0 || !credentials->unit) {
                return r;
        }
        pidfd = pidfd_of_peer(socket, credentials->pid);
        if (pidfd < 0 || !process_lives(pidfd)) {
                forget_unit(credentials);
        }
        return pidfd < 0 ? short_or_none(pidfd) : 0;
}

int peercred_read(void *ctx, int socket, const char *units_root, Credentials **ret) {
        Credentials *credentials = talloc_zero(ctx, Credentials);
        struct ucred ucred;
        socklen_t length = sizeof(ucred);
        int r;

        if (!credentials) {
                return -ENOMEM;
        }
        r = errno_or(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &ucred, &length));
        if (r >= 0) {
                credentials->uid = ucred.uid;
                credentials->gid = ucred.gid;
                credentials->pid = ucred.pid;
                r = read_groups(socket, credentials);
        }
        if (r >= 0) {
                r = read_label(socket, credentials);
        }
        if (r >= 0) {
                r = read_unit_of_peer(socket, units_root, credentials);
        }
        if (r < 0) {
                talloc_free(credentials);
                return r;
        }
        *ret = credentials;
        return 0;
}

/* ---- Of a process ---- */

/* Reads numbers up to the end of the line, at most `max`. */
static size_t read_numbers(const char *text, uint32_t *ret, size_t max) {
        size_t n = 0;
        char *end;

        for (; n < max; n++, text = end) {
                ret[n] = (uint32_t) strtoul(text, &end, 10);
                if (end == text) {
                        break;
                }
        }
        return n;
}

static int add_groups(Credentials *credentials, const char *text) {
        uint32_t *groups = talloc_array(credentials, uint32_t, strlen(text) / 2);

        if (!groups) {
                return -ENOMEM;
        }
        credentials->n_groups = read_numbers(text, groups, strlen(text) / 2);
        credentials->groups = groups;
        return 0;
}

/* Of /proc/PID/status (proc(5)) the groups; *ret_uid is the effective uid, the second of four. */
static int read_status(Credentials *credentials, uint32_t *ret_uid) {
        char path[sizeof("/proc//status") + 11], *line = NULL;
        uint32_t uids[4];
        size_t size = 0;
        FILE *file;
        int r = 0;

        snprintf(path, sizeof(path), "/proc/%d/status", (int) credentials->pid);
        file = fopen(path, "re");
        if (!file) {
                return short_or_none(errno_negative());
        }
        while (r >= 0 && getline(&line, &size, file) >= 0) {
                if (strncmp(line, "Uid:", 4) == 0 && read_numbers(line + 4, uids, 4) == 4) {
                        *ret_uid = uids[1];
                } else if (strncmp(line, "Groups:", 7) == 0) {
                        r = add_groups(credentials, line + 7);
                }
        }
        free(line);
        fclose(file);
        return r;
}

/* What the process that has the PID now says, if it can be the one that is meant. */
static int read_process(const char *units_root, Credentials *credentials) {
        cleanup_close int pidfd = -EBADF;
        uint32_t uid = UINT32_MAX;
        int r;

        if (credentials->pid <= 0) {
                return 0;
        }
        pidfd = pidfd_of(credentials->pid);
        if (pidfd < 0) {
                return short_or_none(pidfd);
        }
        r = read_status(credentials, &uid);
        if (r >= 0 && uid == credentials->uid) {
                r = read_unit(units_root, credentials);
        }
        if (uid != credentials->uid || !process_lives(pidfd)) {
                credentials->n_groups = 0;
                forget_unit(credentials);
        }
        return r;
}

int peercred_of_process(void *ctx, const Credentials *named, const char *units_root, Credentials **ret) {
        Credentials *credentials = talloc_zero(ctx, Credentials);
        int r = 0;

        if (!credentials) {
                return -ENOMEM;
        }
        credentials->uid = named->uid;
        credentials->gid = named->gid;
        credentials->pid = named->pid;
        if (named->label) {
                credentials->label = talloc_strdup(credentials, named->label);
                r = credentials->label ? 0 : -ENOMEM;
        }
        if (r >= 0) {
                r = read_process(units_root, credentials);
        }
        if (r < 0) {
                talloc_free(credentials);
                return r;
        }
        *ret = credentials;
        return 0;
}
