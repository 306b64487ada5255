/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The security label of a file of Path=, where the kernel has such. AppArmor, which goes by paths, has none. */

#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/server/memory-parts.h"

#define SYSFS "/sys/fs"
#define PATH_SIZE 256U

/* What is there when the kernel runs this, and where it has its labels. */
static const struct {
        const char *interface; /* below sysfs */
        const char *attribute;
} kinds[] = {
        { "selinux/enforce", "security.selinux" },
        { "smackfs/load2", "security.SMACK64" },
};

const char *memory_label_attribute(const char *sysfs) {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                char path[PATH_SIZE];

                snprintf(path, sizeof(path), "%s/%s", sysfs, kinds[i].interface);
                if (access(path, F_OK) == 0) {
                        return kinds[i].attribute;
                }
        }
        return NULL;
}

int memory_label_set(int fd, const char *attribute, const char *label) {
        return errno_or(fsetxattr(fd, attribute, label, strlen(label), 0));
}

int memory_label(Memory *memory, const Definition *definition) {
        const char *label = definition->path_label, *attribute;
        int r;

        if (!label) {
                return 0;
        }
        attribute = memory_label_attribute(SYSFS);
        if (!attribute) {
                return memory_fail(
                        memory, -EOPNOTSUPP,
                        "PathLabel=%s: this kernel runs neither SELinux nor Smack, which label files; "
                        "remove PathLabel=",
                        label);
        }
        r = memory_label_set(fd_get(memory->fd), attribute, label);
        return r < 0 ? memory_fail(memory, r, "cannot give %s the label of PathLabel=%s: %m",
                                   definition->path, label)
                     : 0;
}
