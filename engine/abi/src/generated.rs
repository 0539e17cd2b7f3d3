//! Messages of `guest.proto`. Generated; see `tests/generated.rs`.

pub mod r#instar {
    /// One message. Items come before the result, in any number; there is exactly one result.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct GuestMessage {
        pub r#payload: ::core::option::Option<GuestMessage_::Payload>,
    }
    impl GuestMessage {}
    impl ::micropb::MessageDecode for GuestMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    10u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::InfoResult(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::InfoResult(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    11u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::CheckResult(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::CheckResult(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    12u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::ResizeResult(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::ResizeResult(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    13u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::CreateResult(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::CreateResult(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    14u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::UnlockResult(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::UnlockResult(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    20u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::Snapshot(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::Snapshot(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    21u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::Bitmap(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::Bitmap(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    22u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::CheckFinding(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::CheckFinding(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    30u32 => {
                        let mut_ref = loop {
                            if let ::core::option::Option::Some(variant) = &mut self
                                .r#payload
                            {
                                if let GuestMessage_::Payload::DiskExtent(variant) = &mut *variant {
                                    break &mut *variant;
                                }
                            }
                            self.r#payload = ::core::option::Option::Some(
                                GuestMessage_::Payload::DiskExtent(
                                    ::core::default::Default::default(),
                                ),
                            );
                        };
                        decoder.decode_submessage_delimited(mut_ref)?;
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for GuestMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match 'oneof: {
                let mut max_size = 0;
                match ::micropb::const_map!(
                    ::micropb::const_map!(< InfoResultMessage as ::micropb::MessageEncode
                    > ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), |
                    size | size + 1usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< CheckResultMessage as
                    ::micropb::MessageEncode > ::MAX_SIZE, | size |
                    ::micropb::size::sizeof_len_record(size)), | size | size + 1usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< ResizeResultMessage as
                    ::micropb::MessageEncode > ::MAX_SIZE, | size |
                    ::micropb::size::sizeof_len_record(size)), | size | size + 1usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< ResizeResultMessage as
                    ::micropb::MessageEncode > ::MAX_SIZE, | size |
                    ::micropb::size::sizeof_len_record(size)), | size | size + 1usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< UnlockResultMessage as
                    ::micropb::MessageEncode > ::MAX_SIZE, | size |
                    ::micropb::size::sizeof_len_record(size)), | size | size + 1usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< SnapshotMessage as ::micropb::MessageEncode >
                    ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), |
                    size | size + 2usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< BitmapMessage as ::micropb::MessageEncode >
                    ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), |
                    size | size + 2usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< CheckFindingMessage as
                    ::micropb::MessageEncode > ::MAX_SIZE, | size |
                    ::micropb::size::sizeof_len_record(size)), | size | size + 2usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                match ::micropb::const_map!(
                    ::micropb::const_map!(< DiskExtentMessage as ::micropb::MessageEncode
                    > ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), |
                    size | size + 2usize
                ) {
                    ::core::result::Result::Ok(size) => {
                        if size > max_size {
                            max_size = size;
                        }
                    }
                    ::core::result::Result::Err(err) => {
                        break 'oneof (::core::result::Result::<usize, _>::Err(err));
                    }
                }
                ::core::result::Result::Ok(max_size)
            } {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            if let Some(oneof) = &self.r#payload {
                match &*oneof {
                    GuestMessage_::Payload::InfoResult(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(82u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::CheckResult(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(90u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::ResizeResult(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(98u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::CreateResult(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(106u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::UnlockResult(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(114u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::Snapshot(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(162u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::Bitmap(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(170u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::CheckFinding(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(178u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                    GuestMessage_::Payload::DiskExtent(val_ref) => {
                        let val_ref = &*val_ref;
                        encoder.encode_varint32(242u32)?;
                        val_ref.encode_len_delimited(encoder)?;
                    }
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            if let Some(oneof) = &self.r#payload {
                match &*oneof {
                    GuestMessage_::Payload::InfoResult(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 1usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::CheckResult(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 1usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::ResizeResult(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 1usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::CreateResult(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 1usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::UnlockResult(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 1usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::Snapshot(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 2usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::Bitmap(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 2usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::CheckFinding(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 2usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                    GuestMessage_::Payload::DiskExtent(val_ref) => {
                        let val_ref = &*val_ref;
                        size
                            += 2usize
                                + ::micropb::size::sizeof_len_record(
                                    val_ref.compute_size(),
                                );
                    }
                }
            }
            size
        }
    }
    /// Inner types for `GuestMessage`
    pub mod GuestMessage_ {
        #[derive(Debug, PartialEq, Clone)]
        pub enum Payload {
            InfoResult(super::InfoResultMessage),
            CheckResult(super::CheckResultMessage),
            ResizeResult(super::ResizeResultMessage),
            /// A new image is a resize from nothing.
            CreateResult(super::ResizeResultMessage),
            UnlockResult(super::UnlockResultMessage),
            Snapshot(super::SnapshotMessage),
            Bitmap(super::BitmapMessage),
            CheckFinding(super::CheckFindingMessage),
            DiskExtent(super::DiskExtentMessage),
        }
    }
    /// Why an operation was refused or failed; with it, nothing else in a result means anything.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct ErrorMessage {
        /// The number of the error, never 0.
        pub r#code: u32,
        /// What it is about; the number says what each means.
        pub r#detail0: u64,
        /// See detail0.
        pub r#detail1: u64,
        /// See detail0.
        pub r#detail2: u64,
    }
    impl ErrorMessage {}
    impl ::micropb::MessageDecode for ErrorMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#code;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 1u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#detail0;
                        {
                            let val = decoder.decode_fixed64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 1u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#detail1;
                        {
                            let val = decoder.decode_fixed64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 1u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#detail2;
                        {
                            let val = decoder.decode_fixed64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for ErrorMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(8usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(8usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(8usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#code;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#detail0;
                if *val_ref != 0 {
                    encoder.encode_varint32(17u32)?;
                    encoder.encode_fixed64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#detail1;
                if *val_ref != 0 {
                    encoder.encode_varint32(25u32)?;
                    encoder.encode_fixed64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#detail2;
                if *val_ref != 0 {
                    encoder.encode_varint32(33u32)?;
                    encoder.encode_fixed64(*val_ref as _)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#code;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#detail0;
                if *val_ref != 0 {
                    size += 1usize + 8;
                }
            }
            {
                let val_ref = &self.r#detail1;
                if *val_ref != 0 {
                    size += 1usize + 8;
                }
            }
            {
                let val_ref = &self.r#detail2;
                if *val_ref != 0 {
                    size += 1usize + 8;
                }
            }
            size
        }
    }
    /// A byte range of the image file.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct ExtentMessage {
        /// First byte.
        pub r#offset: u64,
        /// Length in bytes.
        pub r#length: u64,
    }
    impl ExtentMessage {}
    impl ::micropb::MessageDecode for ExtentMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#offset;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#length;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for ExtentMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#offset;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#length;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#offset;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#length;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            size
        }
    }
    /// The outcome of a resize or of a creation. All sizes in bytes.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct ResizeResultMessage {
        /// The format that was resized.
        pub r#target_format: ImageFormat,
        /// Virtual size after.
        pub r#resolved_new_virtual_size: u64,
        /// Length of the file before.
        pub r#file_size_before: u64,
        /// Length that the file must be given.
        pub r#file_size_after: u64,
        /// Grown, shrunk or neither.
        pub r#action: ResizeActionCode,
        /// Set if the operation was refused or failed.
        pub r#error: ::core::option::Option<ErrorMessage>,
        /// Virtual size before.
        pub r#old_virtual_size: u64,
        /// What the host must allocate, if anything.
        pub r#preallocate: ::core::option::Option<ExtentMessage>,
        /// Length that the external data file must be given, if the image has one.
        pub r#data_file_size_after: ::core::option::Option<u64>,
        /// What becomes of the files of its extents, if they have files of their own.
        pub r#extents_after: ::core::option::Option<ExtentsAfterMessage>,
    }
    impl ResizeResultMessage {
        /// Return a reference to `error` as an `Option`
        #[inline]
        pub fn r#error(&self) -> ::core::option::Option<&ErrorMessage> {
            self.r#error.as_ref()
        }
        /// Return a reference to `preallocate` as an `Option`
        #[inline]
        pub fn r#preallocate(&self) -> ::core::option::Option<&ExtentMessage> {
            self.r#preallocate.as_ref()
        }
        /// Return a reference to `data_file_size_after` as an `Option`
        #[inline]
        pub fn r#data_file_size_after(&self) -> ::core::option::Option<&u64> {
            self.r#data_file_size_after.as_ref()
        }
        /// Return a reference to `extents_after` as an `Option`
        #[inline]
        pub fn r#extents_after(&self) -> ::core::option::Option<&ExtentsAfterMessage> {
            self.r#extents_after.as_ref()
        }
    }
    impl ::micropb::MessageDecode for ResizeResultMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#target_format;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| ImageFormat(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#resolved_new_virtual_size;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#file_size_before;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#file_size_after;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#action;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| ResizeActionCode(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#error
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#old_virtual_size;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#preallocate
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    9u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#data_file_size_after
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    20u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#extents_after
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for ResizeResultMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(ImageFormat::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(ResizeActionCode::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ErrorMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ExtentMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ExtentsAfterMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 2usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#target_format;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#resolved_new_virtual_size;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#file_size_before;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#file_size_after;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#action;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    encoder.encode_varint32(50u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                let val_ref = &self.r#old_virtual_size;
                if *val_ref != 0 {
                    encoder.encode_varint32(56u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#preallocate() {
                    encoder.encode_varint32(66u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self
                    .r#data_file_size_after()
                {
                    encoder.encode_varint32(72u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#extents_after() {
                    encoder.encode_varint32(162u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#target_format;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#resolved_new_virtual_size;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#file_size_before;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#file_size_after;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#action;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                let val_ref = &self.r#old_virtual_size;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#preallocate() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self
                    .r#data_file_size_after()
                {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#extents_after() {
                    size
                        += 2usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            size
        }
    }
    /// What becomes of the files that a disk's extents have.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct ExtentsAfterMessage {
        /// How many are still a part of the disk.
        pub r#kept: u32,
        /// Length that the last of them must be given, if it must.
        pub r#last_length: ::core::option::Option<u64>,
        /// The descriptor must be in its place before the extents change: ask once more.
        pub r#again: bool,
    }
    impl ExtentsAfterMessage {
        /// Return a reference to `last_length` as an `Option`
        #[inline]
        pub fn r#last_length(&self) -> ::core::option::Option<&u64> {
            self.r#last_length.as_ref()
        }
    }
    impl ::micropb::MessageDecode for ExtentsAfterMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#kept;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#last_length
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#again;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for ExtentsAfterMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#kept;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#last_length() {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#again;
                if *val_ref {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#kept;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#last_length() {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#again;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            size
        }
    }
    /// What there is to say about an image.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct InfoResultMessage {
        /// Its format.
        pub r#format: ImageFormat,
        /// Virtual size in bytes.
        pub r#virtual_size: u64,
        /// Cluster size in bytes, where the format has clusters.
        pub r#cluster_size: ::core::option::Option<u64>,
        /// Not closed properly.
        pub r#dirty: bool,
        /// Content is encrypted.
        pub r#encrypted: bool,
        /// Set if the operation was refused or failed.
        pub r#error: ::core::option::Option<ErrorMessage>,
        /// Backing file name, empty for none.
        pub r#backing_file: ::heapless::Vec<u8, 1023>,
        /// Backing format name, empty for none.
        pub r#backing_format: ::heapless::Vec<u8, 1023>,
        /// What only qcow2 has.
        pub r#qcow2: ::core::option::Option<Qcow2InfoMessage>,
        /// What its LUKS header says, if it is encrypted with LUKS.
        pub r#luks: ::core::option::Option<LuksMessage>,
        /// What only VMDK has.
        pub r#vmdk: ::core::option::Option<VmdkInfoMessage>,
    }
    impl InfoResultMessage {
        /// Return a reference to `cluster_size` as an `Option`
        #[inline]
        pub fn r#cluster_size(&self) -> ::core::option::Option<&u64> {
            self.r#cluster_size.as_ref()
        }
        /// Return a reference to `error` as an `Option`
        #[inline]
        pub fn r#error(&self) -> ::core::option::Option<&ErrorMessage> {
            self.r#error.as_ref()
        }
        /// Return a reference to `qcow2` as an `Option`
        #[inline]
        pub fn r#qcow2(&self) -> ::core::option::Option<&Qcow2InfoMessage> {
            self.r#qcow2.as_ref()
        }
        /// Return a reference to `luks` as an `Option`
        #[inline]
        pub fn r#luks(&self) -> ::core::option::Option<&LuksMessage> {
            self.r#luks.as_ref()
        }
        /// Return a reference to `vmdk` as an `Option`
        #[inline]
        pub fn r#vmdk(&self) -> ::core::option::Option<&VmdkInfoMessage> {
            self.r#vmdk.as_ref()
        }
    }
    impl ::micropb::MessageDecode for InfoResultMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#format;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| ImageFormat(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#virtual_size;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#cluster_size
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#dirty;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#encrypted;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#error
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#backing_file;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#backing_format;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    9u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#qcow2
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    10u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#luks
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    20u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#vmdk
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for InfoResultMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(ImageFormat::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ErrorMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< Qcow2InfoMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< LuksMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< VmdkInfoMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 2usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#format;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#virtual_size;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#cluster_size() {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#dirty;
                if *val_ref {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#encrypted;
                if *val_ref {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    encoder.encode_varint32(50u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                let val_ref = &self.r#backing_file;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(58u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#backing_format;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(66u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#qcow2() {
                    encoder.encode_varint32(74u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#luks() {
                    encoder.encode_varint32(82u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#vmdk() {
                    encoder.encode_varint32(162u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#format;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#virtual_size;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#cluster_size() {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#dirty;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#encrypted;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                let val_ref = &self.r#backing_file;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#backing_format;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#qcow2() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#luks() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#vmdk() {
                    size
                        += 2usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            size
        }
    }
    /// What only VMDK has to say.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct VmdkInfoMessage {
        /// Identifies the content.
        pub r#cid: u32,
        /// That of the parent, all ones for none.
        pub r#parent_cid: u32,
        /// The word for the kind of image.
        pub r#create_type: ::heapless::Vec<u8, 1023>,
    }
    impl VmdkInfoMessage {}
    impl ::micropb::MessageDecode for VmdkInfoMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#cid;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#parent_cid;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#create_type;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for VmdkInfoMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#cid;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#parent_cid;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#create_type;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(26u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#cid;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#parent_cid;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#create_type;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            size
        }
    }
    /// A part of a disk that is in several.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct DiskExtentMessage {
        /// Its file's name, empty for the image's own.
        pub r#name: ::heapless::Vec<u8, 1023>,
        /// 0 for the image's own, 1 FLAT, 2 SPARSE, 3 VMFS.
        pub r#kind: u32,
        /// Its part of the disk in bytes.
        pub r#virtual_size: u64,
        /// Bytes of a grain, if it has grains.
        pub r#cluster_size: ::core::option::Option<u64>,
        /// Its grains are compressed.
        pub r#compressed: bool,
    }
    impl DiskExtentMessage {
        /// Return a reference to `cluster_size` as an `Option`
        #[inline]
        pub fn r#cluster_size(&self) -> ::core::option::Option<&u64> {
            self.r#cluster_size.as_ref()
        }
    }
    impl ::micropb::MessageDecode for DiskExtentMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#name;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#kind;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#virtual_size;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#cluster_size
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#compressed;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for DiskExtentMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(10u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#kind;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#virtual_size;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#cluster_size() {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#compressed;
                if *val_ref {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#kind;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#virtual_size;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#cluster_size() {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#compressed;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            size
        }
    }
    /// What a LUKS header says. Algorithms are numbered as in instar_formats::luks.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct LuksMessage {
        /// The cipher.
        pub r#cipher: u32,
        /// Bits of its key.
        pub r#key_bits: u32,
        /// Its mode.
        pub r#mode: u32,
        /// 1 plain, 2 plain64, 3 essiv.
        pub r#ivgen: u32,
        /// The hash of essiv.
        pub r#ivgen_hash: u32,
        /// The hash of everything else.
        pub r#hash: u32,
        /// UUID as 40 bytes of text.
        pub r#uuid: ::heapless::Vec<u8, 40>,
        /// Where the disk begins, in bytes from the header.
        pub r#payload_offset: u64,
        /// Rounds for the digest of the master key.
        pub r#master_key_rounds: u32,
        /// Eight key slots.
        pub r#slots: ::heapless::Vec<LuksSlotMessage, 8>,
    }
    impl LuksMessage {}
    impl ::micropb::MessageDecode for LuksMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#cipher;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#key_bits;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#mode;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#ivgen;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#ivgen_hash;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#hash;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#uuid;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#payload_offset;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    9u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#master_key_rounds;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    10u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut val: LuksSlotMessage = ::core::default::Default::default();
                        let mut_ref = &mut val;
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                        if let (Err(_), false) = (
                            self.r#slots.pb_push(val),
                            decoder.ignore_repeated_cap_err,
                        ) {
                            return Err(::micropb::DecodeError::Capacity);
                        }
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for LuksMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(41usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< LuksSlotMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                (size + 1usize) * 8usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#cipher;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#key_bits;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#mode;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#ivgen;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#ivgen_hash;
                if *val_ref != 0 {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#hash;
                if *val_ref != 0 {
                    encoder.encode_varint32(48u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#uuid;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(58u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#payload_offset;
                if *val_ref != 0 {
                    encoder.encode_varint32(64u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#master_key_rounds;
                if *val_ref != 0 {
                    encoder.encode_varint32(72u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                for (i, val_ref) in self.r#slots.iter().enumerate() {
                    encoder.encode_varint32(82u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#cipher;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#key_bits;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#mode;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#ivgen;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#ivgen_hash;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#hash;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#uuid;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#payload_offset;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#master_key_rounds;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                for (i, val_ref) in self.r#slots.iter().enumerate() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            size
        }
    }
    /// A key slot.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct LuksSlotMessage {
        /// In use.
        pub r#active: bool,
        /// Rounds for the passphrase.
        pub r#rounds: u32,
        /// Pieces that the key is split into.
        pub r#stripes: u32,
        /// Where its key material lies, in bytes from the header.
        pub r#material: u64,
    }
    impl LuksSlotMessage {}
    impl ::micropb::MessageDecode for LuksSlotMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#active;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#rounds;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#stripes;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#material;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for LuksSlotMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#active;
                if *val_ref {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#rounds;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#stripes;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#material;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#active;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#rounds;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#stripes;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#material;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            size
        }
    }
    /// Whether a passphrase opens an image.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct UnlockResultMessage {
        /// How the image is encrypted: 1 not at all, 2 qcow2's own AES, 3 LUKS.
        pub r#encryption: u32,
        /// Set if the operation was refused or failed.
        pub r#error: ::core::option::Option<ErrorMessage>,
    }
    impl UnlockResultMessage {
        /// Return a reference to `error` as an `Option`
        #[inline]
        pub fn r#error(&self) -> ::core::option::Option<&ErrorMessage> {
            self.r#error.as_ref()
        }
    }
    impl ::micropb::MessageDecode for UnlockResultMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#encryption;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#error
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for UnlockResultMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ErrorMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#encryption;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    encoder.encode_varint32(50u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#encryption;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            size
        }
    }
    /// What only qcow2 has to say.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct Qcow2InfoMessage {
        /// 2 or 3.
        pub r#version: u32,
        /// Width of a refcount in bits.
        pub r#refcount_bits: u32,
        /// Refcounts may be stale after a crash.
        pub r#lazy_refcounts: bool,
        /// The corrupt bit is set.
        pub r#corrupt: bool,
        /// L2 entries have subclusters.
        pub r#extended_l2: bool,
        /// Compressed clusters are zstd.
        pub r#zstd: bool,
        /// External data file name, if the image has one.
        pub r#data_file: ::core::option::Option<::heapless::Vec<u8, 1023>>,
        /// The external data file is a raw image of its own.
        pub r#data_file_raw: bool,
    }
    impl Qcow2InfoMessage {
        /// Return a reference to `data_file` as an `Option`
        #[inline]
        pub fn r#data_file(&self) -> ::core::option::Option<&::heapless::Vec<u8, 1023>> {
            self.r#data_file.as_ref()
        }
    }
    impl ::micropb::MessageDecode for Qcow2InfoMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#version;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#refcount_bits;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#lazy_refcounts;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#corrupt;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#extended_l2;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#zstd;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#data_file
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Explicit)?;
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#data_file_raw;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for Qcow2InfoMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#version;
                if *val_ref != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#refcount_bits;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#lazy_refcounts;
                if *val_ref {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#corrupt;
                if *val_ref {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#extended_l2;
                if *val_ref {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#zstd;
                if *val_ref {
                    encoder.encode_varint32(48u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#data_file() {
                    encoder.encode_varint32(58u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#data_file_raw;
                if *val_ref {
                    encoder.encode_varint32(64u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#version;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#refcount_bits;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#lazy_refcounts;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#corrupt;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#extended_l2;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#zstd;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#data_file() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#data_file_raw;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            size
        }
    }
    /// An internal snapshot.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct SnapshotMessage {
        /// Its id.
        pub r#id: ::heapless::Vec<u8, 1023>,
        /// Its name.
        pub r#name: ::heapless::Vec<u8, 1023>,
        /// Size of the saved machine state in bytes.
        pub r#vm_state_size: u64,
        /// When it was taken, seconds since the epoch.
        pub r#date_sec: u32,
        /// And nanoseconds.
        pub r#date_nsec: u32,
        /// Guest clock in nanoseconds.
        pub r#vm_clock_nsec: u64,
        /// Instruction counter, where the snapshot has one.
        pub r#icount: ::core::option::Option<u64>,
    }
    impl SnapshotMessage {
        /// Return a reference to `icount` as an `Option`
        #[inline]
        pub fn r#icount(&self) -> ::core::option::Option<&u64> {
            self.r#icount.as_ref()
        }
    }
    impl ::micropb::MessageDecode for SnapshotMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#id;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#name;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#vm_state_size;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#date_sec;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#date_nsec;
                        {
                            let val = decoder.decode_varint32()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#vm_clock_nsec;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#icount
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for SnapshotMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(5usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#id;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(10u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(18u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#vm_state_size;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#date_sec;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#date_nsec;
                if *val_ref != 0 {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_varint32(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#vm_clock_nsec;
                if *val_ref != 0 {
                    encoder.encode_varint32(48u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#icount() {
                    encoder.encode_varint32(56u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#id;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#vm_state_size;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#date_sec;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#date_nsec;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint32(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#vm_clock_nsec;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#icount() {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            size
        }
    }
    /// A persistent dirty bitmap.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct BitmapMessage {
        /// Its name.
        pub r#name: ::heapless::Vec<u8, 1023>,
        /// Bytes that one bit stands for.
        pub r#granularity: u64,
        /// Not stored properly.
        pub r#in_use: bool,
        /// To be tracked at once.
        pub r#auto_load: bool,
    }
    impl BitmapMessage {}
    impl ::micropb::MessageDecode for BitmapMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#name;
                        {
                            decoder
                                .decode_bytes(mut_ref, ::micropb::Presence::Implicit)?;
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#granularity;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#in_use;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#auto_load;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for BitmapMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1025usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    encoder.encode_varint32(10u32)?;
                    encoder.encode_bytes(val_ref)?;
                }
            }
            {
                let val_ref = &self.r#granularity;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#in_use;
                if *val_ref {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            {
                let val_ref = &self.r#auto_load;
                if *val_ref {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#name;
                if !val_ref.is_empty() {
                    size += 1usize + ::micropb::size::sizeof_len_record(val_ref.len());
                }
            }
            {
                let val_ref = &self.r#granularity;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#in_use;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            {
                let val_ref = &self.r#auto_load;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            size
        }
    }
    /// The counts of a check, in clusters unless said otherwise.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct CheckResultMessage {
        /// The format that was checked.
        pub r#format: ImageFormat,
        /// Errors that kept a part of the check from running.
        pub r#check_errors: u64,
        /// Errors that endanger data.
        pub r#corruptions: u64,
        /// Clusters that nothing refers to.
        pub r#leaks: u64,
        /// End of the last cluster in use, in bytes.
        pub r#image_end_offset: u64,
        /// Set if the operation was refused or failed.
        pub r#error: ::core::option::Option<ErrorMessage>,
        /// Clusters of the virtual disk.
        pub r#total_clusters: u64,
        /// Of them, those with a place in the file.
        pub r#allocated_clusters: u64,
        /// Of them, those that do not follow their predecessor in the file.
        pub r#fragmented_clusters: u64,
        /// Of them, the compressed ones.
        pub r#compressed_clusters: u64,
        /// Errors that were repaired.
        pub r#corruptions_fixed: u64,
        /// Leaked clusters that were given back.
        pub r#leaks_fixed: u64,
    }
    impl CheckResultMessage {
        /// Return a reference to `error` as an `Option`
        #[inline]
        pub fn r#error(&self) -> ::core::option::Option<&ErrorMessage> {
            self.r#error.as_ref()
        }
    }
    impl ::micropb::MessageDecode for CheckResultMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#format;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| ImageFormat(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#check_errors;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#corruptions;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#leaks;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#image_end_offset;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#error
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#total_clusters;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#allocated_clusters;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    9u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#fragmented_clusters;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    10u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#compressed_clusters;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    11u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#corruptions_fixed;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    12u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#leaks_fixed;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for CheckResultMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(ImageFormat::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::micropb::const_map!(< ErrorMessage as ::micropb::MessageEncode >
                ::MAX_SIZE, | size | ::micropb::size::sizeof_len_record(size)), | size |
                size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#format;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#check_errors;
                if *val_ref != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#corruptions;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#leaks;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#image_end_offset;
                if *val_ref != 0 {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    encoder.encode_varint32(50u32)?;
                    val_ref.encode_len_delimited(encoder)?;
                }
            }
            {
                let val_ref = &self.r#total_clusters;
                if *val_ref != 0 {
                    encoder.encode_varint32(56u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#allocated_clusters;
                if *val_ref != 0 {
                    encoder.encode_varint32(64u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#fragmented_clusters;
                if *val_ref != 0 {
                    encoder.encode_varint32(72u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#compressed_clusters;
                if *val_ref != 0 {
                    encoder.encode_varint32(80u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#corruptions_fixed;
                if *val_ref != 0 {
                    encoder.encode_varint32(88u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#leaks_fixed;
                if *val_ref != 0 {
                    encoder.encode_varint32(96u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#format;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#check_errors;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#corruptions;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#leaks;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#image_end_offset;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                if let ::core::option::Option::Some(val_ref) = self.r#error() {
                    size
                        += 1usize
                            + ::micropb::size::sizeof_len_record(val_ref.compute_size());
                }
            }
            {
                let val_ref = &self.r#total_clusters;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#allocated_clusters;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#fragmented_clusters;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#compressed_clusters;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#corruptions_fixed;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#leaks_fixed;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            size
        }
    }
    /// One thing a check found.
    #[derive(Debug, Default, PartialEq, Clone, Copy)]
    pub struct CheckFindingMessage {
        /// What it is.
        pub r#kind: FindingKind,
        /// Which table it is in, for entries.
        pub r#table: FindingTable,
        /// See the kind.
        pub r#a: u64,
        /// See the kind.
        pub r#b: u64,
        /// See the kind.
        pub r#c: u64,
        /// See the kind.
        pub r#d: u64,
        /// What is wrong with an entry.
        pub r#fault: FindingFault,
        /// Whether it was repaired.
        pub r#fixed: bool,
    }
    impl CheckFindingMessage {}
    impl ::micropb::MessageDecode for CheckFindingMessage {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#kind;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| FindingKind(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#table;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| FindingTable(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#a;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#b;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    5u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#c;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    6u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#d;
                        {
                            let val = decoder.decode_varint64()?;
                            let val_ref = &val;
                            if *val_ref != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#fault;
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| FindingFault(n as _))?;
                            let val_ref = &val;
                            if val_ref.0 != 0 {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut self.r#fixed;
                        {
                            let val = decoder.decode_bool()?;
                            let val_ref = &val;
                            if *val_ref {
                                *mut_ref = val as _;
                            }
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    impl ::micropb::MessageEncode for CheckFindingMessage {
        const MAX_SIZE: ::core::result::Result<usize, &'static str> = 'msg: {
            let mut max_size = 0;
            match ::micropb::const_map!(
                ::core::result::Result::Ok(FindingKind::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(FindingTable::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(10usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(FindingFault::_MAX_SIZE), | size | size +
                1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            match ::micropb::const_map!(
                ::core::result::Result::Ok(1usize), | size | size + 1usize
            ) {
                ::core::result::Result::Ok(size) => {
                    max_size += size;
                }
                ::core::result::Result::Err(err) => {
                    break 'msg (::core::result::Result::<usize, _>::Err(err));
                }
            }
            ::core::result::Result::Ok(max_size)
        };
        fn encode<IMPL_MICROPB_WRITE: ::micropb::PbWrite>(
            &self,
            encoder: &mut ::micropb::PbEncoder<IMPL_MICROPB_WRITE>,
        ) -> Result<(), IMPL_MICROPB_WRITE::Error> {
            use ::micropb::{PbMap, FieldEncode};
            {
                let val_ref = &self.r#kind;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(8u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#table;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(16u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#a;
                if *val_ref != 0 {
                    encoder.encode_varint32(24u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#b;
                if *val_ref != 0 {
                    encoder.encode_varint32(32u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#c;
                if *val_ref != 0 {
                    encoder.encode_varint32(40u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#d;
                if *val_ref != 0 {
                    encoder.encode_varint32(48u32)?;
                    encoder.encode_varint64(*val_ref as _)?;
                }
            }
            {
                let val_ref = &self.r#fault;
                if val_ref.0 != 0 {
                    encoder.encode_varint32(56u32)?;
                    encoder.encode_int32(val_ref.0 as _)?;
                }
            }
            {
                let val_ref = &self.r#fixed;
                if *val_ref {
                    encoder.encode_varint32(64u32)?;
                    encoder.encode_bool(*val_ref)?;
                }
            }
            Ok(())
        }
        fn compute_size(&self) -> usize {
            use ::micropb::{PbMap, FieldEncode};
            let mut size = 0;
            {
                let val_ref = &self.r#kind;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#table;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#a;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#b;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#c;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#d;
                if *val_ref != 0 {
                    size += 1usize + ::micropb::size::sizeof_varint64(*val_ref as _);
                }
            }
            {
                let val_ref = &self.r#fault;
                if val_ref.0 != 0 {
                    size += 1usize + ::micropb::size::sizeof_int32(val_ref.0 as _);
                }
            }
            {
                let val_ref = &self.r#fixed;
                if *val_ref {
                    size += 1usize + 1;
                }
            }
            size
        }
    }
    /// The format of an image.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct ImageFormat(pub i32);
    impl ImageFormat {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 10usize;
        pub const Unspecified: Self = Self(0);
        pub const Raw: Self = Self(1);
        pub const Qcow2: Self = Self(2);
        pub const Luks: Self = Self(3);
        pub const Qed: Self = Self(4);
        pub const Vhd: Self = Self(5);
        pub const Vhdx: Self = Self(6);
        pub const Vmdk: Self = Self(7);
    }
    impl core::default::Default for ImageFormat {
        fn default() -> Self {
            Self(0)
        }
    }
    impl core::convert::From<i32> for ImageFormat {
        fn from(val: i32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for ImageFormat {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                ImageFormat::Unspecified => formatter.write_str("Unspecified"),
                ImageFormat::Raw => formatter.write_str("Raw"),
                ImageFormat::Qcow2 => formatter.write_str("Qcow2"),
                ImageFormat::Luks => formatter.write_str("Luks"),
                ImageFormat::Qed => formatter.write_str("Qed"),
                ImageFormat::Vhd => formatter.write_str("Vhd"),
                ImageFormat::Vhdx => formatter.write_str("Vhdx"),
                ImageFormat::Vmdk => formatter.write_str("Vmdk"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// What a resize came to.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct ResizeActionCode(pub i32);
    impl ResizeActionCode {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 10usize;
        pub const Unspecified: Self = Self(0);
        pub const Grow: Self = Self(1);
        pub const Shrink: Self = Self(2);
        pub const NoOp: Self = Self(3);
    }
    impl core::default::Default for ResizeActionCode {
        fn default() -> Self {
            Self(0)
        }
    }
    impl core::convert::From<i32> for ResizeActionCode {
        fn from(val: i32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for ResizeActionCode {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                ResizeActionCode::Unspecified => formatter.write_str("Unspecified"),
                ResizeActionCode::Grow => formatter.write_str("Grow"),
                ResizeActionCode::Shrink => formatter.write_str("Shrink"),
                ResizeActionCode::NoOp => formatter.write_str("NoOp"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// What a check finding is about.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct FindingKind(pub i32);
    impl FindingKind {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 10usize;
        pub const Unspecified: Self = Self(0);
        /// a: cluster, b: refcount, c: references.
        pub const Leak: Self = Self(1);
        /// a: cluster, b: refcount, c: references.
        pub const Refcount: Self = Self(2);
        /// a: offset of the entry in the file, b: the entry, c, d: what the fault is about.
        pub const Entry: Self = Self(3);
        /// a: the entry, b: refcount, c: index of the entry in an L1 table.
        pub const Copied: Self = Self(4);
        /// a: cluster.
        pub const Unreadable: Self = Self(5);
        /// Nothing more to say.
        pub const NeedsRebuild: Self = Self(6);
        /// Nothing more to say.
        pub const Rebuilding: Self = Self(7);
        /// Nothing more to say.
        pub const Unclean: Self = Self(8);
        /// a: number of the damage (`instar_ops::Damage`), b, c: its details.
        pub const Damage: Self = Self(9);
    }
    impl core::default::Default for FindingKind {
        fn default() -> Self {
            Self(0)
        }
    }
    impl core::convert::From<i32> for FindingKind {
        fn from(val: i32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for FindingKind {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                FindingKind::Unspecified => formatter.write_str("Unspecified"),
                FindingKind::Leak => formatter.write_str("Leak"),
                FindingKind::Refcount => formatter.write_str("Refcount"),
                FindingKind::Entry => formatter.write_str("Entry"),
                FindingKind::Copied => formatter.write_str("Copied"),
                FindingKind::Unreadable => formatter.write_str("Unreadable"),
                FindingKind::NeedsRebuild => formatter.write_str("NeedsRebuild"),
                FindingKind::Rebuilding => formatter.write_str("Rebuilding"),
                FindingKind::Unclean => formatter.write_str("Unclean"),
                FindingKind::Damage => formatter.write_str("Damage"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// What is wrong with an entry (`instar_ops::Fault`).
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct FindingFault(pub i32);
    impl FindingFault {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 10usize;
        pub const Unspecified: Self = Self(0);
        pub const Other: Self = Self(1);
        pub const Reserved: Self = Self(2);
        pub const Unaligned: Self = Self(3);
        pub const DataUnaligned: Self = Self(4);
        pub const ZeroUnaligned: Self = Self(5);
        pub const PastEnd: Self = Self(6);
        pub const Overflow: Self = Self(7);
        pub const CopiedCompressed: Self = Self(8);
        pub const Subclusters: Self = Self(9);
        pub const NoCluster: Self = Self(10);
        pub const BlockPastEnd: Self = Self(11);
        pub const BlockShared: Self = Self(12);
    }
    impl core::default::Default for FindingFault {
        fn default() -> Self {
            Self(0)
        }
    }
    impl core::convert::From<i32> for FindingFault {
        fn from(val: i32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for FindingFault {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                FindingFault::Unspecified => formatter.write_str("Unspecified"),
                FindingFault::Other => formatter.write_str("Other"),
                FindingFault::Reserved => formatter.write_str("Reserved"),
                FindingFault::Unaligned => formatter.write_str("Unaligned"),
                FindingFault::DataUnaligned => formatter.write_str("DataUnaligned"),
                FindingFault::ZeroUnaligned => formatter.write_str("ZeroUnaligned"),
                FindingFault::PastEnd => formatter.write_str("PastEnd"),
                FindingFault::Overflow => formatter.write_str("Overflow"),
                FindingFault::CopiedCompressed => formatter.write_str("CopiedCompressed"),
                FindingFault::Subclusters => formatter.write_str("Subclusters"),
                FindingFault::NoCluster => formatter.write_str("NoCluster"),
                FindingFault::BlockPastEnd => formatter.write_str("BlockPastEnd"),
                FindingFault::BlockShared => formatter.write_str("BlockShared"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// Which table a finding is in.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct FindingTable(pub i32);
    impl FindingTable {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 10usize;
        pub const Unspecified: Self = Self(0);
        pub const L1: Self = Self(1);
        pub const L2: Self = Self(2);
        pub const RefcountTable: Self = Self(3);
    }
    impl core::default::Default for FindingTable {
        fn default() -> Self {
            Self(0)
        }
    }
    impl core::convert::From<i32> for FindingTable {
        fn from(val: i32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for FindingTable {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                FindingTable::Unspecified => formatter.write_str("Unspecified"),
                FindingTable::L1 => formatter.write_str("L1"),
                FindingTable::L2 => formatter.write_str("L2"),
                FindingTable::RefcountTable => formatter.write_str("RefcountTable"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
}
