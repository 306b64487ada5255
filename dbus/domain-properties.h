/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The properties of org.ivshmem1.Domain. */
#pragma once

#include "dbus/vtable.h"

#define DOMAIN_PROPERTIES 41U

extern const Property domain_property_table[DOMAIN_PROPERTIES];
