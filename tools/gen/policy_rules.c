/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Prints the rules of the policy, one a line, with the policies that have them: what doc/security.md must say. */
#include <stdio.h>

#include "token/policy.h"

int main(void)
{
    static const struct {
        enum kl_policy policy;
        const char *name;
    } policies[] = { { KL_POLICY_STANDARD, "standard" }, { KL_POLICY_STRICT, "strict" }, { KL_POLICY_COMPATIBLE, "compatible" } };

    for (size_t rule = 0; rule < kl_policy_rule_count(); rule++) {
        const char *between = "";

        printf("%s | ", kl_policy_rule_name(rule));
        for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
            if (!kl_policy_has_rule(policies[i].policy, rule)) continue;
            printf("%s%s", between, policies[i].name);
            between = ", ";
        }
        putchar('\n');
    }
    return ferror(stdout) || fflush(stdout) != 0;
}
