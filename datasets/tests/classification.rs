//! Labelled images: round trips through every layout, what is refused, batches and their
//! randomness, and the built-in generator.

use std::io::Write;
use std::path::Path;

use deq_datasets::{
    Augment, CIFAR10_CLASSES, DIGITS, DataError, FASHION_CLASSES, Image, LabelledImages, SHAPES,
    Split,
};
use flate2::Compression;
use flate2::write::GzEncoder;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn idx(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    sizes
        .iter()
        .for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(dir.join(name), bytes).expect("written");
}

/// The error's text; it must name the file.
fn refused<T: std::fmt::Debug>(result: Result<T, DataError>, file: &str) -> String {
    let error = result.expect_err("must be refused").to_string();
    assert!(error.contains(file), "{error}");
    error
}

#[test]
fn idx_files_are_read_plain_and_compressed() {
    let pixels: Vec<u8> = (0..24).collect();
    let images = idx(0x803, &[2, 3, 4], &pixels);
    let labels = idx(0x801, &[2], &[7, 9]);
    let dir = folder();
    write(dir.path(), "train-images-idx3-ubyte", &images);
    write(dir.path(), "train-labels-idx1-ubyte.gz", &gzip(&labels));
    write(dir.path(), "t10k-images-idx3-ubyte.gz", &gzip(&images));
    write(dir.path(), "t10k-labels-idx1-ubyte", &labels);
    for (split, names) in [(Split::Train, DIGITS), (Split::Test, FASHION_CLASSES)] {
        let data = LabelledImages::open_idx(dir.path(), split, &names).expect("read");
        assert_eq!((data.count(), data.size()), (2, [1, 3, 4]));
        assert_eq!(data.image(1), &pixels[12..]);
        assert_eq!(data.labels(), [7, 9]);
        assert_eq!(data.classes()[9], names[9]);
    }
}

#[test]
fn broken_idx_files_say_what_is_wrong() {
    let dir = folder();
    let good_images = idx(0x803, &[2, 2, 2], &[0; 8]);
    let good_labels = idx(0x801, &[2], &[0, 1]);
    let read = |images: &[u8], labels: &[u8]| {
        write(dir.path(), "images", images);
        write(dir.path(), "labels", labels);
        let [images, labels] = ["images", "labels"].map(|name| dir.path().join(name));
        LabelledImages::open_idx_files(&images, &labels, &DIGITS)
    };
    assert!(read(&good_images, &good_labels).is_ok());
    let swapped = refused(read(&good_labels, &good_labels), "images");
    assert!(swapped.contains("magic number"), "{swapped}");
    for cut in [0, 3, 4, 15, 16, good_images.len() - 1] {
        refused(read(&good_images[..cut], &good_labels), "images");
    }
    let long = [good_images.as_slice(), &[0]].concat();
    assert!(refused(read(&long, &good_labels), "images").contains("9 follow"));
    let huge = idx(0x803, &[u32::MAX, u32::MAX, u32::MAX], &[]);
    refused(read(&huge, &good_labels), "images");
    let none = idx(0x803, &[0, 2, 2], &[]);
    assert!(refused(read(&none, &good_labels), "images").contains("no pixels"));
    let fewer = refused(read(&good_images, &idx(0x801, &[1], &[0])), "labels");
    assert!(fewer.contains("1 labels for 2 images"), "{fewer}");
    let wrong = refused(read(&good_images, &idx(0x801, &[2], &[0, 10])), "labels");
    assert!(wrong.contains("label 10 of image 1"), "{wrong}");
    let zipped = gzip(&good_images);
    let cut = refused(read(&zipped[..zipped.len() - 9], &good_labels), "images");
    assert!(cut.contains("gzip"), "{cut}");
    let missing = LabelledImages::open_idx(&dir.path().join("no"), Split::Train, &DIGITS);
    assert!(matches!(missing, Err(DataError::Io { .. })));
}

/// Records of CIFAR's binary version: labels, then 3072 bytes that count from the record's number.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, labels) in labels.iter().enumerate() {
        bytes.extend_from_slice(labels);
        bytes.extend((0..3072).map(|i| (i + number) as u8));
    }
    bytes
}

#[test]
fn cifar_is_read_from_the_batches_that_exist() {
    let dir = folder();
    let inner = dir.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&inner).expect("made");
    write(&inner, "data_batch_1.bin", &records(&[&[3], &[9]]));
    write(&inner, "data_batch_4.bin", &records(&[&[0]]));
    write(&inner, "test_batch.bin", &records(&[&[5]]));
    for root in [dir.path(), &inner] {
        let train = LabelledImages::open_cifar10(root, Split::Train).expect("read");
        assert_eq!(
            (train.labels(), train.size()),
            (&[3, 9, 0][..], [3, 32, 32])
        );
        assert_eq!(train.image(1)[..3], [1, 2, 3]);
        assert_eq!(train.classes(), CIFAR10_CLASSES);
        let test = LabelledImages::open_cifar10(root, Split::Test).expect("read");
        assert_eq!(test.labels(), [5]);
    }
    write(&inner, "test_batch.bin", &records(&[&[5]])[..3000]);
    let cut = LabelledImages::open_cifar10(&inner, Split::Test);
    assert!(refused(cut, "test_batch.bin").contains("3073"));
    write(&inner, "test_batch.bin", &[]);
    refused(
        LabelledImages::open_cifar10(&inner, Split::Test),
        "test_batch.bin",
    );
    write(&inner, "test_batch.bin", &records(&[&[1], &[10]]));
    let wrong = LabelledImages::open_cifar10(&inner, Split::Test);
    assert!(refused(wrong, "test_batch.bin").contains("label 10 of image 1"));
    let none = folder();
    let none = LabelledImages::open_cifar10(none.path(), Split::Train);
    refused(none, "data_batch_1.bin");
}

#[test]
fn cifar_100_takes_its_fine_labels() {
    let dir = folder();
    write(dir.path(), "train.bin", &records(&[&[1, 42], &[0, 99]]));
    let train = LabelledImages::open_cifar100(dir.path(), Split::Train).expect("read");
    assert_eq!(
        (train.labels(), train.classes().len()),
        (&[42, 99][..], 100)
    );
    assert_eq!(train.classes()[42], "42");
    let names: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
    write(
        dir.path(),
        "fine_label_names.txt",
        names.join("\n").as_bytes(),
    );
    let train = LabelledImages::open_cifar100(dir.path(), Split::Train).expect("read");
    assert_eq!(train.classes()[99], "class 99");
    write(dir.path(), "fine_label_names.txt", b"apple\n");
    let short = LabelledImages::open_cifar100(dir.path(), Split::Train);
    refused(short, "fine_label_names.txt");
    write(
        dir.path(),
        "fine_label_names.txt",
        names.join("\n").as_bytes(),
    );
    refused(
        LabelledImages::open_cifar100(dir.path(), Split::Test),
        "test.bin",
    );
}

fn jpeg(side: u32, value: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(side, side, image::Rgb([value; 3]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .expect("encoded");
    bytes.into_inner()
}

fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, *bytes)
            .expect("appended");
    }
    let bytes = gzip(&builder.into_inner().expect("finished"));
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_jpeg_archive_keeps_its_order() {
    let dir = folder();
    let path = dir.path().join("cifar10-jpeg.tar.gz");
    let pictures = [jpeg(32, 40), jpeg(32, 200), jpeg(32, 120)];
    archive(
        &path,
        &[
            ("cifar10-jpeg/train/truck/0000.jpg", pictures[0].as_slice()),
            ("cifar10-jpeg/train/cat/0000.jpg", pictures[1].as_slice()),
            ("cifar10-jpeg/test/frog/0000.jpg", pictures[2].as_slice()),
            ("cifar10-jpeg/SOURCE.txt", b"not a picture".as_slice()),
        ],
    );
    let open = |split, limit| LabelledImages::open_cifar10_jpeg(&path, split, limit);
    let train = open(Split::Train, None).expect("read");
    assert_eq!((train.labels(), train.size()), (&[9, 3][..], [3, 32, 32]));
    for (index, value) in [(0, 40u8), (1, 200)] {
        let close = |&found: &u8| found.abs_diff(value) <= 2;
        assert!(train.image(index).iter().all(close), "JPEG of one grey");
    }
    assert_eq!(open(Split::Train, Some(1)).expect("read").labels(), [9]);
    assert_eq!(open(Split::Test, None).expect("read").labels(), [6]);

    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    refused(open(Split::Test, None), "cifar10-jpeg.tar.gz");
    let small = jpeg(16, 0);
    let (odd, text) = ("a/train/dog/1.jpg", b"text".as_slice());
    for (name, bytes, reason) in [
        ("a/train/unicorn/1.jpg", pictures[0].as_slice(), "unicorn"),
        (odd, small.as_slice(), "16x16"),
        (odd, text, "decoded"),
        ("a/other/dog/1.jpg", small.as_slice(), "`train`"),
    ] {
        archive(&path, &[(name, bytes)]);
        let error = refused(open(Split::Train, None), "cifar10-jpeg.tar.gz");
        assert!(error.contains(reason), "{error}");
    }
}

fn save(path: &Path, side: usize, channels: usize, value: f32) {
    let pixels = vec![value; side * side * channels];
    let picture = Image::new(side, side, channels, pixels).expect("a picture");
    picture.save_png(path).expect("written");
}

#[test]
fn folders_are_classes() {
    let dir = folder();
    let empty = LabelledImages::open_folder(dir.path());
    assert!(empty.is_err_and(|error| error.to_string().contains("no folder")));
    for class in ["bee", "ant"] {
        std::fs::create_dir(dir.path().join(class)).expect("made");
    }
    save(&dir.path().join("bee/1.png"), 4, 3, 1.0);
    refused(LabelledImages::open_folder(dir.path()), "ant");
    save(&dir.path().join("ant/2.png"), 4, 3, 128.0 / 255.0);
    save(&dir.path().join("ant/1.png"), 4, 3, 0.0);
    write(&dir.path().join("ant"), "notes.txt", b"not a picture");
    let data = LabelledImages::open_folder(dir.path()).expect("read");
    assert_eq!(data.classes(), ["ant", "bee"]);
    assert_eq!((data.labels(), data.size()), (&[0, 0, 1][..], [3, 4, 4]));
    let first: Vec<u8> = (0..3).map(|index| data.image(index)[0]).collect();
    assert_eq!(first, [0, 128, 255]);

    save(&dir.path().join("bee/odd.png"), 5, 3, 0.0);
    refused(LabelledImages::open_folder(dir.path()), "odd.png");
    save(&dir.path().join("bee/odd.png"), 4, 1, 0.0);
    refused(LabelledImages::open_folder(dir.path()), "odd.png");
    write(&dir.path().join("bee"), "odd.png", b"text");
    refused(LabelledImages::open_folder(dir.path()), "odd.png");
}

fn numbered(count: usize, side: usize) -> LabelledImages {
    let pixels = (0..count * side * side).map(|i| i as u8).collect();
    let labels = (0..count).map(|i| (i % 2) as u16).collect();
    let classes = vec!["even".to_owned(), "odd".to_owned()];
    LabelledImages::new([1, side, side], pixels, labels, classes).expect("images")
}

fn raw() -> Augment {
    Augment {
        mean: vec![0.0],
        std: vec![1.0 / 255.0],
        crop_padding: 0,
        flip: false,
        seed: 0,
    }
}

fn bytes(data: &LabelledImages, indices: &[usize], augment: &Augment, epoch: u64) -> Vec<u8> {
    let batch = data.batch(indices, augment, epoch).expect("a batch");
    let round = |value: &f32| value.round() as u8;
    batch.pixels.iter().map(round).collect()
}

#[test]
fn batches_are_normalised_in_the_order_asked_for() {
    let data = numbered(3, 2);
    let batch = data.batch(&[2, 0], &raw(), 0).expect("a batch");
    assert_eq!((batch.shape, batch.labels), ([2, 1, 2, 2], vec![0, 0]));
    assert_eq!(bytes(&data, &[2, 0], &raw(), 0), [8, 9, 10, 11, 0, 1, 2, 3]);

    let normalize = Augment::normalize(&data);
    let batch = data.batch(&[0, 1, 2], &normalize, 0).expect("a batch");
    let count = batch.pixels.len() as f32;
    let mean = batch.pixels.iter().sum::<f32>() / count;
    let variance = batch.pixels.iter().map(|v| v * v).sum::<f32>() / count;
    assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
    assert_eq!(Augment::cifar(3).plain().crop_padding, 0);
    assert!(!Augment::cifar(3).plain().flip);

    let error = data.batch(&[3], &raw(), 0).expect_err("out of range");
    assert!(error.to_string().contains("no image 3"), "{error}");
    let wrong = [
        Augment {
            std: vec![0.0],
            ..raw()
        },
        Augment {
            mean: vec![0.0; 3],
            ..raw()
        },
        Augment {
            crop_padding: 2,
            ..raw()
        },
    ];
    for augment in wrong {
        assert!(data.batch(&[0], &augment, 0).is_err(), "{augment:?}");
    }
}

#[test]
fn crops_and_flips_are_windows_of_the_image_and_repeat_with_their_seed() {
    let data = numbered(2, 5);
    let image = |index: usize| data.image(index).to_vec();
    let augment = Augment {
        crop_padding: 1,
        flip: true,
        seed: 5,
        ..raw()
    };
    let mirrored = |plane: &[u8]| -> Vec<u8> {
        let rows = plane.chunks(5).map(|row| row.iter().rev().copied());
        rows.flatten().collect()
    };
    let shifted = |plane: &[u8], top: i32, left: i32| -> Vec<u8> {
        let at = |row: i32, column: i32| {
            let inside = (0..5).contains(&row) && (0..5).contains(&column);
            if inside {
                plane[(row * 5 + column) as usize]
            } else {
                0
            }
        };
        (0..25).map(|i| at(i / 5 + top, i % 5 + left)).collect()
    };
    let mut possible = Vec::new();
    for (top, left) in (-1..=1).flat_map(|top| (-1..=1).map(move |left| (top, left))) {
        let window = shifted(&image(1), top, left);
        possible.push(mirrored(&window));
        possible.push(window);
    }
    let mut seen = std::collections::BTreeSet::new();
    for epoch in 0..300 {
        let found = bytes(&data, &[1], &augment, epoch);
        assert_eq!(found, bytes(&data, &[1], &augment, epoch));
        // The place in the batch does not matter.
        assert_eq!(found, bytes(&data, &[0, 1], &augment, epoch)[25..]);
        assert!(possible.contains(&found), "epoch {epoch}: {found:?}");
        seen.insert(found);
    }
    assert_eq!(seen.len(), possible.len(), "every window occurs");
    let other = Augment {
        seed: 6,
        ..augment.clone()
    };
    let differs = |epoch| bytes(&data, &[1], &other, epoch) != bytes(&data, &[1], &augment, epoch);
    assert!((0..20).any(differs));
}

#[test]
fn an_epochs_order_is_a_permutation_of_its_own() {
    let data = numbered(100, 1);
    let order = data.order(1, 0);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    assert_eq!(order, data.order(1, 0));
    assert_ne!(order, data.order(1, 1));
    assert_ne!(order, data.order(2, 0));
}

#[test]
fn built_in_shapes_are_balanced_and_repeat() {
    for channels in [1, 3] {
        let data = LabelledImages::shapes(40, 16, channels, 7).expect("shapes");
        assert_eq!((data.count(), data.size()), (40, [channels, 16, 16]));
        assert_eq!(data.classes(), SHAPES);
        for class in 0..10 {
            let same = data.labels().iter().filter(|&&label| label == class);
            assert_eq!(same.count(), 4);
        }
        let again = LabelledImages::shapes(40, 16, channels, 7).expect("shapes");
        assert_eq!(data, again);
        let other = LabelledImages::shapes(40, 16, channels, 8).expect("shapes");
        assert_ne!(data, other);
        assert_ne!(data.image(0), data.image(10), "two discs differ");
        let first = data.take(5).expect("five");
        assert_eq!((first.count(), first.image(4)), (5, data.image(4)));
        assert_eq!(data.take(99).expect("all").count(), 40);
        assert!(data.take(0).is_err());
    }
    assert!(LabelledImages::shapes(0, 16, 1, 0).is_err());
    assert!(LabelledImages::shapes(1, 7, 1, 0).is_err());
    assert!(LabelledImages::shapes(1, 16, 2, 0).is_err());
}

#[test]
fn images_that_do_not_fit_their_labels_are_refused() {
    let classes = || vec!["a".to_owned()];
    let new = |size, pixels: usize, labels: Vec<u16>| {
        LabelledImages::new(size, vec![0; pixels], labels, classes())
    };
    assert!(new([1, 2, 2], 4, vec![0]).is_ok());
    assert!(new([1, 2, 2], 5, vec![0]).is_err());
    assert!(new([2, 2, 2], 8, vec![0]).is_err());
    assert!(new([1, 2, 2], 0, vec![]).is_err());
    let error = new([1, 2, 2], 4, vec![1])
        .expect_err("no class 1")
        .to_string();
    assert!(error.contains("label 1 of image 0"), "{error}");
}
