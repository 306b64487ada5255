/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name in the file system that this process made - socket, pidfile - and removes again. It is removed through a
 * descriptor of its directory, and only while it still is the very inode that was made: never somebody else's.
 */
#pragma once

#include <stdbool.h>

typedef struct OwnFile OwnFile;

/* Opens the directory of `path`, for a name that is to be made. Negative errno. */
int ownfile_new(void *ctx, const char *path, OwnFile **ret);

/* The directory, and the name in it. */
int ownfile_directory(const OwnFile *file);
const char *ownfile_name(const OwnFile *file);
const char *ownfile_path(const OwnFile *file);

/* The name was just made: remembers its inode. Negative errno. */
int ownfile_made(OwnFile *file);

/* Whether this process's user may make and remove names in a directory without any privilege, by its permission bits. */
bool directory_is_writable(int directory);

/* Removes the name, if ownfile_made() was called and it is still that inode. */
void ownfile_remove(OwnFile *file);
