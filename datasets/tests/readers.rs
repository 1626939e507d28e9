//! Readers and generators: round trips, official files' properties, and what is refused.

use std::path::Path;

use deq_datasets::{Audio, DataError, Frames, Image};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_picture_survives_png() {
    let dir = folder();
    for channels in [1, 3] {
        let pixels: Vec<f32> = (0..6 * channels)
            .map(|i| (i * 7 % 256) as f32 / 255.0)
            .collect();
        let picture = Image::new(3, 2, channels, pixels).expect("a picture");
        let path = dir.path().join("picture.png");
        picture.save_png(&path).expect("written");
        let again = Image::open(&path).expect("read");
        assert_eq!(
            (again.width(), again.height(), again.channels()),
            (3, 2, channels)
        );
        let errors = picture.pixels().iter().zip(again.pixels());
        assert!(errors.map(|(a, b)| (a - b).abs()).all(|e| e < 1e-6));
        // In memory it is the same file.
        std::fs::write(&path, picture.to_png().expect("encoded")).expect("written");
        assert_eq!(Image::open(&path).expect("read"), again);
    }
}

#[test]
fn shrinking_averages_areas() {
    let picture = Image::new(4, 2, 1, vec![0.0, 0.2, 0.4, 0.6, 0.2, 0.4, 0.6, 0.8]).expect("ok");
    let half = picture.shrink(2, 1).expect("smaller");
    assert!((half.pixels()[0] - 0.2).abs() < 1e-6 && (half.pixels()[1] - 0.6).abs() < 1e-6);
    // Four pixels on three: each new pixel covers 4/3 of an old one.
    let thirds = Image::new(4, 1, 1, vec![0.0, 1.0, 0.0, 1.0]).expect("ok");
    let thirds = thirds.shrink(3, 1).expect("smaller");
    for (found, expected) in thirds.pixels().iter().zip([0.25, 0.5, 0.75]) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!(picture.shrink(4, 2).expect("same"), picture);
    assert!(picture.shrink(5, 2).is_err() && picture.shrink(0, 1).is_err());
    let longer = picture.shrink_to_side(2).expect("smaller");
    assert_eq!((longer.width(), longer.height()), (2, 1));
    assert!(picture.shrink_to_side(8).is_err());
}

#[test]
fn a_sound_survives_wav() {
    let dir = folder();
    let path = dir.path().join("sound.wav");
    let sound = Audio::built_in(8_000, 0.25).expect("a sound");
    sound.save_wav(&path).expect("written");
    assert_eq!(Audio::open(&path).expect("read"), sound);

    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).expect("created");
    for sample in [16_384i16, -16_384, 16_384, 16_384] {
        writer.write_sample(sample).expect("written");
    }
    writer.finalize().expect("written");
    assert_eq!(Audio::open(&path).expect("read").samples, [0.0, 0.5]);
}

#[test]
fn a_video_survives_its_folder() {
    let dir = folder();
    let video = Frames::built_in(3, 8, 6).expect("a video");
    assert_ne!(video.frames()[0], video.frames()[1]);
    video.save_png(dir.path()).expect("written");
    std::fs::write(dir.path().join("notes.txt"), "not a frame").expect("written");
    let again = Frames::open(dir.path()).expect("read");
    assert_eq!(again.frames().len(), 3);
    let half = again.shrink_to_side(4).expect("smaller");
    assert_eq!(half.frames()[0].width(), 4);
    Image::built_in(5, 5)
        .and_then(|odd| odd.save_png(&dir.path().join("999.png")))
        .expect("written");
    let error = Frames::open(dir.path())
        .expect_err("sizes differ")
        .to_string();
    assert!(error.contains("frame 3"), "{error}");
}

#[test]
fn broken_files_are_errors_that_name_the_file() {
    let dir = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let missing = dir.path().join("missing.png");
    assert!(matches!(Image::open(&missing), Err(DataError::Io { .. })));
    assert!(matches!(Audio::open(&missing), Err(DataError::Io { .. })));
    assert!(matches!(Frames::open(&missing), Err(DataError::Io { .. })));
    assert!(matches!(
        Frames::open(dir.path()),
        Err(DataError::Format { .. })
    ));

    let path = dir.path().join("whole.png");
    Image::built_in(16, 16)
        .and_then(|picture| picture.save_png(&path))
        .expect("written");
    let whole = std::fs::read(&path).expect("read");
    for cut in [0, 1, 8, 20, whole.len() / 2, whole.len() - 20] {
        let path = write("cut.png", &whole[..cut]);
        let error = Image::open(&path).expect_err("must be refused");
        assert!(error.to_string().contains("cut.png"), "{error}");
    }
    let path = dir.path().join("whole.wav");
    Audio::built_in(8_000, 0.01)
        .and_then(|sound| sound.save_wav(&path))
        .expect("written");
    let whole = std::fs::read(&path).expect("read");
    for cut in [0, 1, 20, whole.len() / 2] {
        let path = write("cut.wav", &whole[..cut]);
        let error = Audio::open(&path).expect_err("must be refused");
        assert!(error.to_string().contains("cut.wav"), "{error}");
    }
}

#[test]
fn impossible_requests_say_why() {
    assert!(Image::new(2, 2, 2, vec![0.0; 8]).is_err());
    assert!(Image::new(2, 2, 1, vec![0.0; 3]).is_err());
    assert!(Image::built_in(1, 5).is_err());
    assert!(Audio::built_in(8_000, 0.0).is_err());
    assert!(Frames::built_in(0, 8, 8).is_err());
    let error = Image::open(Path::new("/")).expect_err("a folder");
    assert!(error.to_string().contains('/'));
}
