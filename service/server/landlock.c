/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Landlock by raw system calls: libc has none. Numbers and structures are the kernel's (Documentation/userspace-api/
 * landlock.rst); those that are younger than Debian 12's headers are repeated here. This file decides nothing: what
 * stays allowed is the caller's.
 */

#include "service/server/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (UINT64_C(1) << 0)
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (UINT64_C(1) << 1)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define LANDLOCK_SCOPE_SIGNAL (UINT64_C(1) << 1)
#endif

/* All that the first version knows: execute (bit 0) to make_sym (bit 12). */
#define ACCESS_FS_OF_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

typedef struct RulesetAttributes RulesetAttributes;

/* struct landlock_ruleset_attr as of ABI 6; an older kernel takes the rest as long as it is zero. */
struct RulesetAttributes {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
};

/* What each version added to the one before. */
static const RulesetAttributes additions[] = {
        { .handled_access_fs = ACCESS_FS_OF_ABI_1 },
        { .handled_access_fs = LANDLOCK_ACCESS_FS_REFER },
        { .handled_access_fs = LANDLOCK_ACCESS_FS_TRUNCATE },
        { .handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP },
        { .handled_access_fs = LANDLOCK_ACCESS_FS_IOCTL_DEV },
        { .scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL },
};

#define ABI_MAX ((int) (sizeof(additions) / sizeof(*additions)))

int landlock_abi(void) {
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        /* ENOSYS: not compiled in; EOPNOTSUPP: turned off at boot; EPERM: a container's filter hides it. */
        return abi > 0 ? (int) abi : 0;
}

static RulesetAttributes attributes_of(int abi, bool abstract_sockets) {
        RulesetAttributes all = { .handled_access_fs = 0 };

        for (int i = 0; i < abi; i++) {
                all.handled_access_fs |= additions[i].handled_access_fs;
                all.handled_access_net |= additions[i].handled_access_net;
                all.scoped |= additions[i].scoped;
        }
        if (abstract_sockets) {
                all.scoped &= ~LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET;
        }
        return all;
}

/* The fullest ruleset that the kernel takes. Distributions port parts of a version back under its number, so a refusal
 * means the version below. */
static int ruleset_create(int abi, bool abstract_sockets) {
        int r = -EINVAL;

        for (; abi > 0 && (r == -EINVAL || r == -E2BIG); abi--) {
                RulesetAttributes attributes = attributes_of(abi, abstract_sockets);

                r = errno_or((int) syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0));
        }
        return r;
}

static int ruleset_allow(int ruleset, int fd, uint64_t access) {
        struct landlock_path_beneath_attr beneath = { .allowed_access = access, .parent_fd = fd };

        return errno_or(
                (int) syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
}

static int ruleset_allow_reading(int ruleset, const char *path) {
        cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
        uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE;
        struct stat st;

        if (fd < 0) {
                int r = errno_negative();

                /* What cannot be reached now is not read later either. */
                return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? 0 : r;
        }
        if (fstat(fd, &st) < 0) {
                return errno_negative();
        }
        if (S_ISDIR(st.st_mode)) {
                access |= LANDLOCK_ACCESS_FS_READ_DIR;
        }
        return ruleset_allow(ruleset, fd, access);
}

int landlock_restrict(const LandlockRules *rules) {
        int abi = landlock_abi();
        cleanup_close int ruleset = -EBADF;
        int r = 0;

        if (abi == 0) {
                return 0;
        }
        ruleset = ruleset_create(abi < ABI_MAX ? abi : ABI_MAX, rules->abstract_sockets);
        if (ruleset < 0) {
                return ruleset;
        }
        for (size_t i = 0; i < rules->n_read_paths && r == 0; i++) {
                r = ruleset_allow_reading(ruleset, rules->read_paths[i]);
        }
        for (size_t i = 0; i < rules->n_remove_fds && r == 0; i++) {
                r = ruleset_allow(ruleset, rules->remove_fds[i], LANDLOCK_ACCESS_FS_REMOVE_FILE);
        }
        return r < 0 ? r : errno_or((int) syscall(SYS_landlock_restrict_self, ruleset, 0));
}
