/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads /proc, and changes no process but this one. */

#include "tests/lib/process.h"

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/lib/socket.h"

#define PROC_PATH_MAX 64
#define NSEC_PER_SEC UINT64_C(1000000000)

int keyed_number(const char *path, const char *key, uint64_t *ret) {
        FILE *file = fopen(path, "re");
        size_t length = strlen(key);
        bool found = false;
        char line[256];

        if (!file) {
                return errno_negative();
        }
        while (!found && fgets(line, sizeof(line), file)) {
                found = strncmp(line, key, length) == 0 && line[length] == ':';
        }
        fclose(file);
        if (!found) {
                return -ENOENT;
        }
        *ret = strtoull(line + length + 1, NULL, 10);
        return 0;
}

int process_count_fds(pid_t pid, uint32_t *ret) {
        char path[PROC_PATH_MAX];
        uint32_t n = 0;
        DIR *directory;

        snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        directory = opendir(path);
        if (!directory) {
                return errno_negative();
        }
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
                n += entry->d_name[0] != '.';
        }
        closedir(directory);
        *ret = n;
        return 0;
}

int process_private_bytes(pid_t pid, uint64_t *ret) {
        char path[PROC_PATH_MAX];
        uint64_t kilobytes;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
        r = keyed_number(path, "Anonymous", &kilobytes);
        if (r < 0) {
                return r;
        }
        *ret = kilobytes * 1024;
        return 0;
}

/* Fields 3, 14 and 15 of /proc/PID/stat (proc(5)); the second one, the name in brackets, may contain anything. */
static int process_stat(pid_t pid, char *ret_state, uint64_t *ret_user, uint64_t *ret_system) {
        unsigned long long user, system;
        char state, path[PROC_PATH_MAX];
        char line[1024];
        char *rest;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        file = fopen(path, "re");
        if (!file) {
                return errno_negative();
        }
        rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
        fclose(file);
        if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state, &user,
                            &system) != 3) {
                return -EIO;
        }
        *ret_state = state;
        *ret_user = user;
        *ret_system = system;
        return 0;
}

int process_wait_asleep(pid_t pid) {
        time_t end = time(NULL) + WAIT_MSEC / 1000;
        uint64_t user, system;
        char state = 'R';
        int r = 0;

        while (r >= 0 && state == 'R') {
                if (time(NULL) > end) {
                        return -ETIMEDOUT;
                }
                sched_yield();
                r = process_stat(pid, &state, &user, &system);
        }
        return r;
}

int process_cpu(pid_t pid, ProcessCpu *ret) {
        uint64_t nsec_per_tick = NSEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK);
        uint64_t user, system, switches;
        char path[PROC_PATH_MAX];
        struct timespec total;
        clockid_t clock;
        char state;
        int r;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &total) < 0) {
                return -ESRCH;
        }
        r = process_stat(pid, &state, &user, &system);
        if (r < 0) {
                return r;
        }
        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        r = keyed_number(path, "voluntary_ctxt_switches", &switches);
        if (r < 0) {
                return r;
        }
        *ret = (ProcessCpu){
                .total_nsec = (uint64_t) total.tv_sec * NSEC_PER_SEC + (uint64_t) total.tv_nsec,
                .user_nsec = user * nsec_per_tick,
                .system_nsec = system * nsec_per_tick,
                .switches = switches,
        };
        return 0;
}

int process_raise_nofile(uint64_t *ret) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
                return errno_negative();
        }
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
                return errno_negative();
        }
        if (ret) {
                *ret = limit.rlim_max;
        }
        return 0;
}
