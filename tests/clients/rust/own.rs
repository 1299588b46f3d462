// SPDX-License-Identifier: MIT OR Apache-2.0
// cryptoki's own tests, as the crate has them: t_rust puts its folder tests/ beside this file, by the name crate_tests.
#[allow(dead_code)]
#[path = "crate_tests/common/mod.rs"]
mod common;

#[path = "crate_tests/allowed_mechanisms.rs"]
mod allowed_mechanisms;
#[path = "crate_tests/basic.rs"]
mod basic;
#[path = "crate_tests/ml_dsa.rs"]
mod ml_dsa;
#[path = "crate_tests/ml_kem.rs"]
mod ml_kem;
#[path = "crate_tests/slh_dsa.rs"]
mod slh_dsa;
