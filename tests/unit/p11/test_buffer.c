/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "p11/buffer.h"

#include <stdint.h>

#include "../unit.h"

static void reading_and_writing_needs_no_alignment(void)
{
    unsigned char room[64];
    CK_MECHANISM mine, how = { CKM_AES_GCM, room, 7 };

    for (size_t shift = 0; shift < 8; shift++) {
        CU_ASSERT_EQUAL(kl_caller_write(room + shift, &how, sizeof how), KL_OK);
        CU_ASSERT_EQUAL(kl_caller_read(&mine, room + shift, sizeof mine), KL_OK);
        CU_ASSERT_EQUAL(memcmp(&mine, &how, sizeof mine), 0);
    }
}

static void nowhere_is_a_bad_argument(void)
{
    CK_ULONG number = 5;

    CU_ASSERT_EQUAL(kl_caller_read(&number, NULL, sizeof number), KL_ARG);
    CU_ASSERT_EQUAL(kl_caller_write(NULL, &number, sizeof number), KL_ARG);
    CU_ASSERT_EQUAL(number, 5);
}

/* --- answers ----------------------------------------------------------- */

static void room_is_what_the_caller_lends(void)
{
    CK_BYTE bytes[8];
    CK_ULONG len = 8;
    struct kl_out room = kl_out_from(bytes, &len);

    CU_ASSERT_TRUE(room.data == bytes && room.cap == 8 && room.len == 0);
    room = kl_out_from(NULL, &len);
    CU_ASSERT_PTR_NULL(room.data);
    /* Without a length nobody knows how much there is: none. */
    room = kl_out_from(bytes, NULL);
    CU_ASSERT_TRUE(room.data == NULL && room.cap == 0);
}

static void the_length_is_told_after_success_and_a_short_buffer_only(void)
{
    struct kl_out room = { .len = 33 };
    CK_ULONG len = 8;

    CU_ASSERT_EQUAL(kl_out_report(&room, &len, KL_CIPHERTEXT), KL_CIPHERTEXT);
    CU_ASSERT_EQUAL(len, 8);
    CU_ASSERT_EQUAL(kl_out_report(&room, &len, KL_BUFFER), KL_BUFFER);
    CU_ASSERT_EQUAL(len, 33);
    len = 8;
    CU_ASSERT_EQUAL(kl_out_report(&room, &len, KL_OK), KL_OK);
    CU_ASSERT_EQUAL(len, 33);
    CU_ASSERT_EQUAL(kl_out_report(&room, NULL, KL_ARG), KL_ARG);
}

/* --- lists ------------------------------------------------------------- */

static void a_list_is_given_where_there_is_room_for_all_of_it(void)
{
    CK_ULONG items[4] = { 9, 9, 9, 9 }, room = 0;

    CU_ASSERT_EQUAL(kl_list_room(NULL, &room, 3), KL_OK);
    CU_ASSERT_EQUAL(room, 3);
    for (CK_ULONG lent = 0; lent < 3; lent++) {
        room = lent;
        CU_ASSERT_EQUAL(kl_list_room(items, &room, 3), KL_BUFFER);
        CU_ASSERT_EQUAL(room, 3);
    }
    room = 4;
    CU_ASSERT_EQUAL(kl_list_room(items, &room, 3), KL_OK);
    CU_ASSERT_EQUAL(room, 3);
    CU_ASSERT_EQUAL(kl_list_room(items, NULL, 3), KL_ARG);
    room = 0;
    CU_ASSERT_EQUAL(kl_list_room(items, &room, 0), KL_OK);
}

static void a_lists_items_go_where_they_belong(void)
{
    unsigned char room[8 * 4 + 1];
    CK_ULONG number;

    memset(room, 0xee, sizeof room);
    kl_list_set((CK_ULONG *)(uintptr_t)(room + 1), 2, 0x1122334455667788);
    memcpy(&number, room + 1 + 16, sizeof number);
    CU_ASSERT_EQUAL(number, 0x1122334455667788);
    CU_ASSERT_EQUAL(room[16], 0xee);
    CU_ASSERT_EQUAL(room[25], 0xee);
    kl_list_set(NULL, 2, 1);
}

/* --- templates --------------------------------------------------------- */

static void a_template_is_copied_from_any_address(void)
{
    static struct kl_template mine;
    unsigned char room[3 * sizeof(CK_ATTRIBUTE) + 1];
    CK_ATTRIBUTE theirs[3] = { { CKA_LABEL, room, 1 }, { CKA_ID, NULL, 0 }, { CKA_VALUE, room, 3 } };

    memcpy(room + 1, theirs, sizeof theirs);
    CU_ASSERT_EQUAL(kl_template_read(&mine, room + 1, 3), KL_OK);
    CU_ASSERT_EQUAL(mine.count, 3);
    CU_ASSERT_EQUAL(memcmp(mine.items, theirs, sizeof theirs), 0);
    mine.items[1].ulValueLen = 77;
    mine.items[1].type = 88;
    kl_template_return(&mine, room + 1);
    theirs[1].ulValueLen = 77;
    CU_ASSERT_EQUAL(memcmp(room + 1, theirs, sizeof theirs), 0);
}

static void a_template_without_attributes_is_one(void)
{
    static struct kl_template mine;
    CK_ATTRIBUTE theirs = { CKA_LABEL, NULL, 0 };

    mine.count = 5;
    CU_ASSERT_EQUAL(kl_template_read(&mine, NULL, 0), KL_OK);
    CU_ASSERT_EQUAL(mine.count, 0);
    CU_ASSERT_EQUAL(kl_template_read(&mine, &theirs, 0), KL_OK);
}

static void a_count_is_believed_up_to_a_bound_and_not_without_memory(void)
{
    static const CK_ULONG counts[] = { KL_TEMPLATE_MAX + 1, 1 << 20, (CK_ULONG)1 << 32, (CK_ULONG)1 << 60, (CK_ULONG)-1 };
    static struct kl_template mine;
    static CK_ATTRIBUTE theirs[KL_TEMPLATE_MAX];

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) CU_ASSERT_EQUAL(kl_template_read(&mine, theirs, counts[i]), KL_ARG);
    CU_ASSERT_EQUAL(kl_template_read(&mine, theirs, KL_TEMPLATE_MAX), KL_OK);
    CU_ASSERT_EQUAL(kl_template_read(&mine, NULL, 1), KL_ARG);
}

UNIT_MAIN("p11/buffer", UNIT(reading_and_writing_needs_no_alignment), UNIT(nowhere_is_a_bad_argument), UNIT(room_is_what_the_caller_lends),
          UNIT(the_length_is_told_after_success_and_a_short_buffer_only), UNIT(a_list_is_given_where_there_is_room_for_all_of_it),
          UNIT(a_lists_items_go_where_they_belong), UNIT(a_template_is_copied_from_any_address), UNIT(a_template_without_attributes_is_one),
          UNIT(a_count_is_believed_up_to_a_bound_and_not_without_memory))
