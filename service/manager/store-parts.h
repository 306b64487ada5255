/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the store consists of. For store*.c only. */
#pragma once

#include "service/base/fd.h"
#include "service/manager/store.h"

#define STORE_SUFFIX ".domain"

typedef struct Place Place;

struct Place {
        char *path;
        char *parent; /* the directory that it lies in, */
        char *base;   /* and its name there */
        Origin origin;
        bool ours;
        int watch;        /* of the directory; -1: it is not there */
        int watch_parent; /* of its parent while it is not there; -1: none */
};

struct Store {
        Place *places;
        size_t n_places;
        Fd *inotify;
        EventSource *source;
        StoreChanged changed;
        void *userdata;
};
