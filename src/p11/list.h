/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The function lists, one per layout of the standard. They point at this module's own functions (-Bsymbolic), never at another's of the same name. */
#ifndef KL_P11_LIST_H
#define KL_P11_LIST_H

#include "keyladder/pkcs11.h"

extern const CK_FUNCTION_LIST kl_list_2_40;
extern const CK_FUNCTION_LIST_3_0 kl_list_3_0;
extern const CK_FUNCTION_LIST_3_0 kl_list_3_1;
extern const CK_FUNCTION_LIST_3_2 kl_list_3_2;
/* "Vendor keyladder" 1.0, in vendor.c. */
extern const KL_FUNCTION_LIST kl_list_vendor;

#endif
