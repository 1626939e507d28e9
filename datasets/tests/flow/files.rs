//! Round trips through every format, and what is refused.

use std::path::Path;

use deq_datasets::flow::{FlowField, FramePair, open_frame};
use deq_datasets::{DataError, Image};
use image::{ImageBuffer, ImageFormat, Rgb};

use crate::common::{field, folder, partly_known, refused};

#[test]
fn fields_that_say_the_same_are_equal() {
    assert_eq!(field(Some(vec![true; 6])), field(None));
    assert_eq!(field(None).valid(), None);
    assert_eq!(field(None).mask(), [true; 6]);
    let part = partly_known();
    assert_eq!((part.vector(1, 0), part.vector(2, 1)), ([0.0; 2], [0.0; 2]));
    assert_ne!(part.vector(0, 0), [0.0; 2]);
    assert_eq!(field(None).restrict(&part.mask()).expect("fits"), part);
    let twice = part.restrict(&[false, true, true, true, true, true]);
    let known = [false, false, true, true, true, false];
    assert_eq!(twice.expect("fits").mask(), known);

    let planar = part.planar();
    assert_eq!(planar[2], part.vector(2, 0)[0]);
    assert_eq!(planar[6 + 3], part.vector(0, 1)[1]);
    let again = FlowField::from_planar(3, 2, &planar, Some(part.mask()));
    assert_eq!(again.expect("fits"), part);
}

#[test]
fn fields_and_pairs_that_do_not_fit_are_refused() {
    assert!(FlowField::new(3, 2, vec![0.0; 11], None).is_err());
    assert!(FlowField::new(0, 2, vec![], None).is_err());
    assert!(FlowField::new(usize::MAX, 2, vec![0.0; 12], None).is_err());
    assert!(FlowField::new(3, 2, vec![0.0; 12], Some(vec![true; 5])).is_err());
    assert!(FlowField::from_planar(3, 2, &[0.0; 11], None).is_err());
    assert!(field(None).restrict(&[true; 5]).is_err());

    let frame = |width, height| Image::built_in(width, height).expect("a picture");
    let grey = Image::new(3, 2, 1, vec![0.0; 6]).expect("a picture");
    assert!(FramePair::new(frame(3, 2), frame(3, 2), Some(field(None))).is_ok());
    assert!(FramePair::new(frame(3, 2), grey, None).is_err());
    let error = FramePair::new(frame(3, 2), frame(2, 3), None).expect_err("other sizes");
    assert!(error.to_string().contains("(2, 3, 3)"), "{error}");
    let error = FramePair::new(frame(4, 2), frame(4, 2), Some(field(None))).expect_err("flow");
    assert!(error.to_string().contains("flow has 3x2"), "{error}");
}

#[test]
fn the_end_point_error_is_a_mean_over_known_pixels() {
    let truth = FlowField::new(2, 1, vec![3.0, 4.0, 100.0, 0.0], Some(vec![true, false]));
    let truth = truth.expect("a field");
    let still = FlowField::new(2, 1, vec![0.0, 0.0, 7.0, 7.0], None).expect("a field");
    assert_eq!(still.end_point_errors(&truth).expect("fits"), [5.0, 0.0]);
    assert_eq!(still.end_point_error(&truth).expect("fits"), 5.0);
    assert_eq!(truth.end_point_error(&truth).expect("fits"), 0.0);
    // An estimate that knows nothing about a pixel counts as still.
    let errors = truth.end_point_errors(&still).expect("fits");
    assert!((errors[1] - 98.0f32.sqrt()).abs() < 1e-5);
    assert!(still.end_point_error(&field(None)).is_err());
    let unknown = truth.restrict(&[false, true]).expect("fits");
    assert!(still.end_point_error(&unknown).is_err());
}

#[test]
fn flow_survives_every_format() {
    let dir = folder();
    for flow in [field(None), partly_known()] {
        for name in ["flow.flo", "flow.pfm", "flow.png", "FLOW.FLO"] {
            let path = dir.path().join(name);
            flow.save(&path).expect("written");
            assert_eq!(FlowField::open(&path).expect("read"), flow, "{name}");
        }
    }
    let path = dir.path().join("flow.txt");
    refused(field(None).save(&path), "flow.txt");
    refused(FlowField::open(&path), "flow.txt");
    let nowhere = dir.path().join("missing/flow.flo");
    assert!(matches!(
        field(None).save(&nowhere),
        Err(DataError::Io {
            action: "write",
            ..
        })
    ));
    assert!(matches!(
        FlowField::open(&nowhere),
        Err(DataError::Io { action: "read", .. })
    ));
}

#[test]
fn middleburys_bytes_are_as_published() {
    let dir = folder();
    let path = dir.path().join("flow.flo");
    let mut bytes = b"PIEH\x02\0\0\0\x01\0\0\0".to_vec();
    for value in [1.5f32, -2.0, 1_666_666_752.0, 1_666_666_752.0] {
        bytes.extend(value.to_le_bytes());
    }
    std::fs::write(&path, &bytes).expect("written");
    let flow = FlowField::open_flo(&path).expect("read");
    assert_eq!((flow.width(), flow.height()), (2, 1));
    assert_eq!(flow.data(), [1.5, -2.0, 0.0, 0.0]);
    assert_eq!(flow.valid(), Some([true, false].as_slice()));
    flow.save_flo(&path).expect("written");
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
}

#[test]
fn pfm_rows_start_at_the_bottom_in_either_byte_order() {
    let dir = folder();
    let path = dir.path().join("flow.pfm");
    let values = [
        5.0f32,
        6.0,
        0.0,
        7.0,
        8.0,
        0.0,
        1.0,
        2.0,
        9.0,
        3.0,
        f32::NAN,
        9.0,
    ];
    for (scale, is_little) in [("-1.0", true), ("1", false)] {
        let mut bytes = format!("PF\n2 2\n{scale}\n").into_bytes();
        for value in values {
            bytes.extend(if is_little {
                value.to_le_bytes()
            } else {
                value.to_be_bytes()
            });
        }
        std::fs::write(&path, bytes).expect("written");
        let flow = FlowField::open_pfm(&path).expect("read");
        assert_eq!(flow.data(), [1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(flow.mask(), [true, false, true, true]);
    }
    let broken = [
        ("Pf\n2 2\n-1\n", "disparity"),
        ("P6\n2 2\n-1\n", "`PF`"),
        ("PF\n2 x\n-1\n", "height"),
        ("PF\n0 2\n-1\n", "width"),
        ("PF\n2 2\n0\n", "scale"),
        ("PF\n99999999999 99999999999\n-1\n", "promises"),
    ];
    for (header, reason) in broken {
        std::fs::write(&path, header).expect("written");
        let error = refused(FlowField::open_pfm(&path), "flow.pfm");
        assert!(error.contains(reason), "{error}");
    }
}

fn save_rgb16(path: &Path, width: u32, samples: Vec<u16>) {
    let height = samples.len() as u32 / 3 / width;
    ImageBuffer::<Rgb<u16>, Vec<u16>>::from_raw(width, height, samples)
        .expect("a picture")
        .save_with_format(path, ImageFormat::Png)
        .expect("written");
}

#[test]
fn kittis_numbers_are_as_published() {
    let dir = folder();
    let path = dir.path().join("flow.png");
    save_rgb16(&path, 2, vec![32_768 + 64, 32_768 - 96, 1, 5, 6, 0]);
    let flow = FlowField::open_kitti(&path).expect("read");
    assert_eq!(flow.data(), [1.0, -1.5, 0.0, 0.0]);
    assert_eq!(flow.mask(), [true, false]);
    // To the nearest 64th of a pixel.
    let fine = FlowField::new(1, 1, vec![0.01, -3.0], None).expect("a field");
    fine.save_kitti(&path).expect("written");
    let flow = FlowField::open_kitti(&path).expect("read");
    assert_eq!(flow.data(), [1.0 / 64.0, -3.0]);

    for value in [512.0, -513.0, f32::NAN] {
        let flow = FlowField::new(1, 1, vec![value, 0.0], None).expect("a field");
        let error = refused(flow.save_kitti(&path), "flow.png");
        assert!(error.contains("pixel (0, 0)"), "{error}");
    }
}

#[test]
fn a_png_of_8_bits_is_no_flow() {
    let dir = folder();
    let path = dir.path().join("frame.png");
    Image::built_in(4, 3)
        .and_then(|picture| picture.save_png(&path))
        .expect("written");
    let error = refused(FlowField::open_kitti(&path), "frame.png");
    assert!(error.contains("8 bits and 3 channels"), "{error}");
    let grey = ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_raw(1, 1, vec![7]).expect("ok");
    grey.save_with_format(&path, ImageFormat::Png).expect("ok");
    let error = refused(FlowField::open_kitti(&path), "frame.png");
    assert!(error.contains("16 bits and 1 channels"), "{error}");
}

#[test]
fn known_flow_that_would_be_read_as_unknown_is_not_written() {
    let dir = folder();
    for value in [f32::NAN, f32::INFINITY, 2e9] {
        let data = vec![0.0, 0.0, 0.0, value];
        let flow = FlowField::new(2, 1, data, None).expect("a field");
        for name in ["flow.flo", "flow.pfm"] {
            let path = dir.path().join(name);
            let error = refused(flow.save(&path), name);
            assert!(error.contains("pixel (1, 0)"), "{error}");
            assert!(!path.exists());
            let unknown = flow.restrict(&[true, false]).expect("fits");
            unknown.save(&path).expect("written");
            std::fs::remove_file(&path).expect("removed");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let dir = folder();
    let frame = dir.path().join("frame.ppm");
    Image::built_in(3, 2)
        .and_then(|picture| picture.save_ppm(&frame))
        .expect("written");
    let mut paths = vec![frame];
    for name in ["flow.flo", "flow.pfm", "flow.png"] {
        let path = dir.path().join(name);
        partly_known().save(&path).expect("written");
        paths.push(path);
    }
    let open = |path: &Path| {
        if path.extension().is_some_and(|extension| extension == "ppm") {
            open_frame(path).map(drop)
        } else {
            FlowField::open(path).map(drop)
        }
    };
    for path in paths {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("text");
        let whole = std::fs::read(&path).expect("read");
        open(&path).expect("the whole file is fine");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            refused(open(&path), name);
        }
        if !name.ends_with(".png") {
            std::fs::write(&path, [&whole[..], &[0]].concat()).expect("written");
            refused(open(&path), name);
        }
    }
}

/// A PNG chunk with its check sum.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let mut sum = u32::MAX;
    for &byte in &body {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xEDB8_8320 * (sum & 1));
        }
    }
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &body, &(!sum).to_be_bytes()].concat()
}

#[test]
fn hostile_headers_allocate_nothing() {
    let dir = folder();
    let path = dir.path().join("bad.flo");
    let sides = [
        (i32::MAX, i32::MAX, "promises"),
        (1 << 30, 1 << 30, "promises"),
        (-3, 2, "side of -3"),
        (3, 0, "side of 0"),
    ];
    for (width, height, reason) in sides {
        let mut bytes = b"PIEH".to_vec();
        bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        bytes.extend([0; 48]);
        std::fs::write(&path, bytes).expect("written");
        let error = refused(FlowField::open(&path), "bad.flo");
        assert!(error.contains(reason), "{error}");
    }
    let mut swapped = 202_021.25f32.to_be_bytes().to_vec();
    swapped.extend([0; 16]);
    std::fs::write(&path, swapped).expect("written");
    let error = refused(FlowField::open(&path), "bad.flo");
    assert!(
        error.contains("tag") && error.contains("202021.25"),
        "{error}"
    );

    // A correct header of a picture of 2³¹ − 1 pixels a side.
    let path = dir.path().join("bad.png");
    let side = 0x7FFF_FFFFu32.to_be_bytes();
    let header = [&side[..], &side, &[16, 2, 0, 0, 0]].concat();
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    let bytes = [
        signature,
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &[]),
        chunk(b"IEND", &[]),
    ];
    std::fs::write(&path, bytes.concat()).expect("written");
    refused(FlowField::open(&path), "bad.png");
}

#[test]
fn ppm_files_are_read_as_specified() {
    let dir = folder();
    let path = dir.path().join("frame.ppm");
    let write = |header: &str, data: &[u8]| {
        std::fs::write(&path, [header.as_bytes(), data].concat()).expect("written");
    };
    write(
        "P6 # a comment\n# 9 9\n2\t1 #\n 255\n",
        &[0, 51, 255, 102, 204, 0],
    );
    let picture = open_frame(&path).expect("read");
    assert_eq!((picture.width(), picture.height()), (2, 1));
    assert_eq!(picture.pixels(), [0.0, 0.2, 1.0, 0.4, 0.8, 0.0]);
    write("P6 1 1 1000 ", &[0, 0, 1, 244, 3, 232]);
    let picture = open_frame(&path).expect("read");
    assert_eq!(picture.pixels(), [0.0, 0.5, 1.0]);

    for (header, data, reason) in [
        ("P5 1 1 255\n", &[0; 3][..], "`P6`"),
        ("P6 1 1 65536\n", &[0; 6][..], "65535"),
        ("P6 1 1 0\n", &[0; 3][..], "largest value"),
        ("P6 1 -1 255\n", &[0; 3][..], "height"),
        ("P6 1 1 100\n", &[0, 101, 0][..], "101"),
        ("P6 4000000000 4000000000 255\n", &[0; 3][..], "promises"),
        ("P6 18446744073709551615 3 255\n", &[0; 3][..], "promises"),
    ] {
        write(header, data);
        let error = refused(open_frame(&path), "frame.ppm");
        assert!(error.contains(reason), "{error}");
    }
    let picture = Image::new(1, 1, 1, vec![0.6]).expect("a picture");
    picture.save_ppm(&path).expect("written");
    let again = open_frame(&path).expect("read");
    assert_eq!((again.channels(), again.pixels()), (3, [0.6; 3].as_slice()));
    // Other extensions go to the reader of PNG and JPEG.
    let path = dir.path().join("frame.png");
    picture.save_png(&path).expect("written");
    assert_eq!(open_frame(&path).expect("read").channels(), 1);
}
