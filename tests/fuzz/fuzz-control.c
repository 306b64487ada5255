/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a record of the control link: what is accepted says the same when it is written again, byte for byte. And
 * any bytes as the text of one: whatever was put there, the other side can read it.
 */

#include <string.h>

#include "service/core/control.h"
#include "service/core/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_record(const uint8_t *data, size_t size) {
        uint8_t again[CONTROL_RECORD_SIZE];
        ControlRecord record;

        if (control_decode(data, size, &record) < 0) {
                return;
        }
        FUZZ_CHECK(size == CONTROL_RECORD_SIZE);
        FUZZ_CHECK(record.kind >= 0 && record.kind < _CONTROL_KIND_MAX);
        FUZZ_CHECK((record.serial != 0) ==
                   (control_is_request(record.kind) || record.kind == CONTROL_REPLY));
        control_encode(&record, again);
        FUZZ_CHECK(memcmp(again, data, size) == 0);
}

static void check_text(const uint8_t *data, size_t size) {
        ControlRecord record = { .kind = CONTROL_REPLY, .serial = 1 }, back;
        uint8_t bytes[CONTROL_RECORD_SIZE];
        char text[2 * CONTROL_TEXT_SIZE] = { 0 };
        size_t length;

        memcpy(text, data, size < sizeof(text) ? size : sizeof(text) - 1);
        length = strlen(text);
        control_text_set(record.text, sizeof(record.text), text);
        control_encode(&record, bytes);
        FUZZ_CHECK(control_decode(bytes, sizeof(bytes), &back) == 0);
        FUZZ_CHECK(strcmp(back.text, record.text) == 0);
        /* What can be shown is not changed, and only the end of a long one is lost. */
        if (utf8_check(text, length, NULL) == UTF8_OK) {
                FUZZ_CHECK(strncmp(text, back.text, strlen(back.text)) == 0);
                FUZZ_CHECK(strlen(back.text) >=
                           (length < CONTROL_TEXT_SIZE ? length : CONTROL_TEXT_SIZE - 4));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        check_record(data, size);
        check_text(data, size);
        return 0;
}
