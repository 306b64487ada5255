/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was prepared for a running domain, noted in a directory of root's: that it was done, so that a restart of the
 * server does not do it again, and what is to be removed at the domain's end.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

typedef struct Prepared Prepared;

struct Prepared {
        const char *path; /* the file */
        dev_t device;
        ino_t inode;
        bool remove;           /* it was made for this domain, and goes with it */
        bool remove_directory; /* so was its directory, which goes when it is empty */
};

/* Notes it for a domain; the directory is made if it is missing. -EEXIST when there is a note already. */
int prepared_save(const char *directory, const char *domain, const Prepared *prepared);

/* Reads the note of a domain; *ret is a chunk of `ctx`. -ENOENT when there is none, -EBADMSG when it cannot be read. */
int prepared_load(void *ctx, const char *directory, const char *domain, Prepared **ret);

/* Removes the directory of a file, if it is empty. */
void prepared_drop_directory(const char *path);

/* Removes the file, if that is to be done and the name is still that file's, and forgets the note. 0 also when there is
 * nothing to do. */
int prepared_end(const char *directory, const char *domain);
