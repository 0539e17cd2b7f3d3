//! Tells whether a passphrase opens the image: the only guest that is ever given one.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_abi::unlock::UnlockConfig;
use instar_guest::{Guest, operation};
use instar_ops::{UnlockRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(UnlockRequest::from_config);
    let config = guest.request(|config: &UnlockConfig| Some(*config));
    let (host, mut disk, scratch) = guest.into_parts();
    let result = instar_ops::unlock(&mut disk, &request, config.passphrase(), scratch);
    host.send_result(Payload::UnlockResult(wire::unlock_to_wire(&result)));
}

operation!(run);
