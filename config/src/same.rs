//! Whether two values of a key are the same, for each kind of key that
//! [`section!`](crate::section::section) knows.

use secrecy::{ExposeSecret, SecretString};

pub(crate) fn plain<T: PartialEq>(one: &T, other: &T) -> bool {
    one == other
}

pub(crate) use self::{
    plain as apart, plain as default, plain as derived, plain as nested, plain as optional,
    plain as optional_nested, plain as required, plain as tables,
};

pub(crate) fn secret(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[expect(
    clippy::ref_option,
    reason = "called with a reference to the field, as all of them"
)]
pub(crate) fn optional_secret(one: &Option<SecretString>, other: &Option<SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => secret(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
