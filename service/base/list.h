/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An intrusive, circular, doubly linked list. A List is the head of a list or the link within an element; a link that
 * is in no list points to itself, so that removing it is always allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct List List;

struct List {
        List *next;
        List *prev;
};

static inline void list_init(List *list) {
        *list = (List){ .next = list, .prev = list };
}

static inline bool list_is_empty(const List *list) {
        return list->next == list;
}

/* Inserts the link before `position`; before the head is at the end of the list. */
static inline void list_insert(List *position, List *link) {
        *link = (List){ .next = position, .prev = position->prev };
        position->prev->next = link;
        position->prev = link;
}

static inline void list_append(List *head, List *link) {
        list_insert(head, link);
}

static inline void list_prepend(List *head, List *link) {
        list_insert(head->next, link);
}

static inline void list_remove(List *link) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        list_init(link);
}

/* The element that the link is a member of. */
#define list_entry(link, type, member) ((type *) (void *) ((char *) (link) -offsetof(type, member)))

/* Walks the links; the current one may be removed meanwhile. */
#define LIST_FOREACH(i, head) \
        for (List *i = (head)->next, *i##_next = i->next; i != (head); i = i##_next, i##_next = i->next)
