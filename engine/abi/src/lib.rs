//! What host and guest agree on: memory map, call table, configs, messages.
//!
//! - [`layout`]: where everything lies in the guest's memory, and the devices' registers.
//! - [`boot`]: what the host tells every guest.
//! - [`config`]: what the host asks of an operation.
//! - [`unlock`]: the one of these that holds a passphrase.
//! - [`table`]: what an operation may call.
//! - [`message`]: what a guest answers, generated from `guest.proto`.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod config;
pub mod layout;
#[allow(missing_docs, nonstandard_style, unused, clippy::all)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unwrap_used)]
#[rustfmt::skip]
mod generated;
pub mod table;
pub mod unlock;

pub use generated::instar as message;
pub use micropb;

/// Bytes that the longest possible message takes in the mailbox, its length prefix included.
pub const MESSAGE_LEN: usize = match <message::GuestMessage as micropb::MessageEncode>::MAX_SIZE {
    Ok(size) => micropb::size::sizeof_len_record(size),
    Err(_) => panic!("a message without a bound"),
};

const _: () = assert!(MESSAGE_LEN as u64 <= layout::MAILBOX.len);
