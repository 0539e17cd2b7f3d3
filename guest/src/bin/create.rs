//! Lays out a new image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Guest, operation};
use instar_ops::{CreateRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(CreateRequest::from_config);
    let (host, mut disk, scratch) = guest.into_parts();
    let result = instar_ops::create(&mut disk, &request, scratch);
    host.send_result(Payload::CreateResult(wire::resize_to_wire(&result)));
}

operation!(run);
