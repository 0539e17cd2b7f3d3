//! Checks the image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Guest, operation};
use instar_ops::{CheckRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(CheckRequest::from_config);
    let (host, mut disk, scratch) = guest.into_parts();
    let result = instar_ops::check(&mut disk, &request, scratch, &mut |finding| {
        host.send_item(Payload::CheckFinding(wire::finding_to_wire(finding)));
    });
    host.send_result(Payload::CheckResult(wire::check_to_wire(&result)));
}

operation!(run);
