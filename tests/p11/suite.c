/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Conformance; see runner.c for how it is called. */
#include "suite.h"

const struct function functions[] = {
#define F(name, version, args, answer) { #name, version, args, answer },
#include "functions.def"
#undef F
};
const size_t function_count = COUNT(functions);

int main(int argc, char **argv)
{
    static const struct test *const files[] = {
        general_tests, login_tests,  object_tests, policy_tests, gcm_tests,     message_tests, cipher_tests, mac_tests,
        wrap_tests,    ladder_tests, fork_tests,   vendor_tests, inherit_tests, budget_tests,  NULL,
    };
    static const struct way as_configured[] = { { 0 }, { 0 } };

    return run_all(files, as_configured, argc, argv);
}
