/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain that is served says of itself in a line: to systemd by sd_notify(3), and to managers over the control link. */
#pragma once

#include <stddef.h>

#include "service/server/domain.h"

/* Long enough for what it says, with its NUL; reasons that are longer are cut. */
#define STATUS_TEXT_MAX 1024U

void status_format(const Domain *domain, char ret[static STATUS_TEXT_MAX]);
