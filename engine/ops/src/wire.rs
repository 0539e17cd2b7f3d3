//! Requests and answers as they cross between host and guest: the types of this crate to and from
//! those of `instar-abi`.
//!
//! Whatever comes from the wire is hostile: a number that means nothing, a field that is missing or
//! two that contradict each other give `None`, never a guess.

mod answer;
mod create;
mod finding;
mod item;
mod luks;
mod request;

pub use answer::{
    check_from_wire, check_to_wire, info_from_wire, info_to_wire, resize_from_wire, resize_to_wire,
};
pub use finding::{finding_from_wire, finding_to_wire};
pub use item::{info_item_from_wire, info_item_to_wire};
pub use luks::{unlock_from_wire, unlock_to_wire};

#[cfg(test)]
mod tests;
