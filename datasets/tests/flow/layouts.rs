//! The data sets' folders: what is listed, and what is missing.

use std::path::{Path, PathBuf};

use deq_datasets::flow::{Camera, Direction, FlowDataset, PairFiles, RenderPass, Things};
use deq_datasets::{Image, Split};

use crate::common::{folder, partly_known, refused};

/// Makes a folder of frames and flows of 3x2 pixels.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(folder())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        path
    }

    fn frame(&self, name: &str) {
        let (path, picture) = (self.path(name), Image::built_in(3, 2).expect("a picture"));
        if name.ends_with("ppm") {
            picture.save_ppm(&path).expect("written");
        } else {
            picture.save_png(&path).expect("written");
        }
    }

    fn flow(&self, name: &str) {
        partly_known().save(&self.path(name)).expect("written");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.root().join(name)).expect("removed");
    }
}

/// Names, first frames, second frames and flows, relative to the folder.
fn listing(tree: &Tree, data: &FlowDataset) -> Vec<[String; 3]> {
    let short = |path: &Path| {
        let path = path.strip_prefix(tree.root()).expect("in the folder");
        path.to_str().expect("text").to_owned()
    };
    let files = data.files().iter();
    files
        .map(|files| {
            let flow = files.flow.as_deref().map(short).unwrap_or_default();
            [short(&files.first), short(&files.second), flow]
        })
        .collect()
}

#[test]
fn flying_chairs_are_split_by_their_list() {
    let tree = Tree::new();
    for number in 1..=3 {
        tree.frame(&format!("data/0000{number}_img1.ppm"));
        tree.frame(&format!("data/0000{number}_img2.ppm"));
        tree.flow(&format!("data/0000{number}_flow.flo"));
    }
    let open = |split| FlowDataset::flying_chairs(tree.root(), split);
    let error = refused(open(Split::Train), "");
    assert!(error.contains("FlyingChairs_train_val.txt"), "{error}");
    std::fs::write(tree.path("FlyingChairs_train_val.txt"), "1\n2\n1\n1\n").expect("written");
    let train = open(Split::Train).expect("listed");
    let expected = [
        "data/00003_img1.ppm",
        "data/00003_img2.ppm",
        "data/00003_flow.flo",
    ];
    assert_eq!(listing(&tree, &train)[1], expected);
    assert_eq!(
        (train.count(), train.files()[0].name.as_str()),
        (2, "00001")
    );
    assert_eq!(open(Split::Test).expect("listed").count(), 1);
    assert!(!train.files()[0].sparse);
    let pair = train.pair(1).expect("read");
    assert_eq!(pair.flow(), Some(&partly_known()));
    assert!(train.pair(2).is_err());
    // A pair is read when it is asked for, and not before.
    tree.remove("data/00003_img2.ppm");
    let mut pairs = train.pairs();
    assert!(pairs.next().expect("first").is_ok());
    refused(pairs.next().expect("second"), "00003_img2.ppm");
    assert!(pairs.next().is_none());
    refused(open(Split::Train), "00003_img2.ppm");
    assert!(open(Split::Test).is_ok());

    std::fs::write(tree.path("FlyingChairs_train_val.txt"), "1\n2\n").expect("written");
    refused(open(Split::Test), "00003_flow.flo");
    std::fs::write(tree.path("FlyingChairs_train_val.txt"), "1\n3\n1\n").expect("written");
    let error = refused(open(Split::Train), "FlyingChairs_train_val.txt");
    assert!(error.contains("line 2"), "{error}");
    std::fs::write(tree.path("FlyingChairs_train_val.txt"), "1\n1\n1\n").expect("written");
    refused(open(Split::Test), "data");
    refused(
        FlowDataset::flying_chairs(&tree.root().join("no"), Split::Test),
        "no",
    );
}

#[test]
fn flying_things_go_into_future_and_past() {
    let tree = Tree::new();
    for (eye, mark) in [("left", 'L'), ("right", 'R')] {
        for number in 6..=8 {
            tree.frame(&format!(
                "frames_cleanpass/TRAIN/A/0000/{eye}/000{number}.png"
            ));
            for (way, camel) in [("into_future", "Future"), ("into_past", "Past")] {
                tree.flow(&format!(
                    "optical_flow/TRAIN/A/0000/{way}/{eye}/OpticalFlowInto{camel}_000{number}_{mark}.pfm"
                ));
            }
        }
    }
    let open = |things: &Things| FlowDataset::flying_things(tree.root(), Split::Train, things);
    let data = open(&Things::default()).expect("listed");
    let frame = |number: u32| format!("frames_cleanpass/TRAIN/A/0000/left/000{number}.png");
    let flows = "optical_flow/TRAIN/A/0000";
    let future =
        |number: u32| format!("{flows}/into_future/left/OpticalFlowIntoFuture_000{number}_L.pfm");
    let past =
        |number: u32| format!("{flows}/into_past/left/OpticalFlowIntoPast_000{number}_L.pfm");
    assert_eq!(
        listing(&tree, &data),
        [
            [frame(6), frame(7), future(6)],
            [frame(7), frame(8), future(7)],
            [frame(7), frame(6), past(7)],
            [frame(8), frame(7), past(8)],
        ]
    );
    assert_eq!(data.pair(3).expect("read").flow(), Some(&partly_known()));
    let right = Things {
        cameras: vec![Camera::Right],
        directions: vec![Direction::IntoPast],
        ..Things::default()
    };
    let data = open(&right).expect("listed");
    assert_eq!(data.count(), 2);
    assert!(listing(&tree, &data)[0][2].ends_with("OpticalFlowIntoPast_0007_R.pfm"));

    let last = Things {
        pass: RenderPass::Final,
        ..Things::default()
    };
    refused(open(&last), "frames_finalpass");
    let nothing = Things {
        cameras: vec![],
        ..Things::default()
    };
    assert!(open(&nothing).is_err());
    let test = FlowDataset::flying_things(tree.root(), Split::Test, &right);
    refused(test, "TEST");
    tree.remove(&frame(7));
    let error = refused(open(&Things::default()), "left");
    assert!(error.contains("number 6"), "{error}");
    let json = r#"{"pass":"final","cameras":["right"],"directions":["into_past"],"eyes":2}"#;
    assert!(serde_json::from_str::<Things>(json).is_err());
    let json = json.replace(r#","eyes":2"#, "");
    let read: Things = serde_json::from_str(&json).expect("options");
    assert_eq!(
        (read.pass, read.cameras),
        (RenderPass::Final, right.cameras)
    );
}

#[test]
fn sintel_has_two_passes_and_masks() {
    let tree = Tree::new();
    for scene in ["alley_1", "bamboo_2"] {
        for number in 1..=3 {
            tree.frame(&format!("training/clean/{scene}/frame_000{number}.png"));
            tree.frame(&format!("training/final/{scene}/frame_000{number}.png"));
            tree.frame(&format!("test/clean/{scene}/frame_000{number}.png"));
            if number < 3 {
                tree.flow(&format!("training/flow/{scene}/frame_000{number}.flo"));
            }
        }
    }
    let open = |split, pass| FlowDataset::sintel(tree.root(), split, pass);
    let data = open(Split::Train, RenderPass::Final).expect("listed");
    let expected = [
        "training/final/alley_1/frame_0002.png",
        "training/final/alley_1/frame_0003.png",
        "training/flow/alley_1/frame_0002.flo",
    ];
    assert_eq!(listing(&tree, &data)[1], expected);
    let files = &data.files()[3];
    assert_eq!(
        (data.count(), files.name.as_str()),
        (4, "bamboo_2/frame_0002")
    );
    assert_eq!(files.occluded_pixels().expect("none"), None);
    let test = open(Split::Test, RenderPass::Clean).expect("listed");
    assert_eq!((test.count(), &test.files()[0].flow), (4, &None));
    assert!(test.pair(0).expect("read").flow().is_none());

    let mask = Image::new(3, 2, 1, vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0]).expect("a mask");
    for scene in ["alley_1", "bamboo_2"] {
        for number in 1..=2 {
            let name = format!("training/occlusions/{scene}/frame_000{number}.png");
            mask.save_png(&tree.path(&name)).expect("written");
        }
    }
    let data = open(Split::Train, RenderPass::Clean).expect("listed");
    let occluded = data.files()[0].occluded_pixels().expect("read");
    assert_eq!(occluded, Some(vec![false, true, false, true, false, false]));
    assert_eq!(data.files()[0].invalid_pixels().expect("none"), None);
    tree.frame("training/invalid/alley_1/frame_0001.png");
    refused(open(Split::Train, RenderPass::Clean), "frame_0002.png");
    tree.remove("training/flow/alley_1/frame_0001.flo");
    refused(open(Split::Train, RenderPass::Clean), "frame_0001.flo");
    refused(open(Split::Test, RenderPass::Final), "final");
}

#[test]
fn kitti_and_hd1k_are_sparse() {
    let tree = Tree::new();
    for scene in 0..2 {
        for split in ["training", "testing"] {
            tree.frame(&format!("{split}/image_2/00000{scene}_10.png"));
            tree.frame(&format!("{split}/image_2/00000{scene}_11.png"));
        }
        tree.flow(&format!("training/flow_occ/00000{scene}_10.png"));
    }
    let open = |split| FlowDataset::kitti(tree.root(), split);
    let data = open(Split::Train).expect("listed");
    let expected = [
        "training/image_2/000001_10.png",
        "training/image_2/000001_11.png",
        "training/flow_occ/000001_10.png",
    ];
    assert_eq!(listing(&tree, &data)[1], expected);
    assert!(data.files()[1].sparse && data.count() == 2);
    assert_eq!(data.pair(0).expect("read").flow(), Some(&partly_known()));
    assert_eq!(open(Split::Test).expect("listed").files()[1].flow, None);
    tree.remove("training/flow_occ/000000_10.png");
    refused(open(Split::Train), "000000_10.png");
    tree.remove("testing/image_2/000001_11.png");
    refused(open(Split::Test), "000001_11.png");

    let tree = Tree::new();
    for name in ["000000_0010", "000000_0011", "000000_0012", "000001_0010"] {
        tree.frame(&format!("hd1k_input/image_2/{name}.png"));
        tree.flow(&format!("hd1k_flow_gt/flow_occ/{name}.png"));
    }
    let data = FlowDataset::hd1k(tree.root()).expect("listed");
    let names: Vec<&str> = data.files().iter().map(|files| &*files.name).collect();
    assert_eq!(names, ["000000_0010", "000000_0011"]);
    let expected = [
        "hd1k_input/image_2/000000_0011.png",
        "hd1k_input/image_2/000000_0012.png",
        "hd1k_flow_gt/flow_occ/000000_0011.png",
    ];
    assert_eq!(listing(&tree, &data)[1], expected);
    assert!(data.files()[0].sparse);
    tree.remove("hd1k_input/image_2/000000_0011.png");
    let error = refused(FlowDataset::hd1k(tree.root()), "image_2");
    assert!(error.contains("number 10"), "{error}");
    std::fs::remove_dir_all(tree.root().join("hd1k_flow_gt")).expect("removed");
    refused(FlowDataset::hd1k(tree.root()), "flow_occ");
}

#[test]
fn middlebury_has_scenes_with_and_without_flow() {
    let tree = Tree::new();
    for (part, scene) in [
        ("other-data", "Venus"),
        ("other-data", "Walking"),
        ("eval-data", "Army"),
    ] {
        tree.frame(&format!("{part}/{scene}/frame10.png"));
        tree.frame(&format!("{part}/{scene}/frame11.png"));
    }
    tree.flow("other-gt-flow/Venus/flow10.flo");
    let open = |split| FlowDataset::middlebury(tree.root(), split);
    let data = open(Split::Train).expect("listed");
    let expected = [
        "other-data/Venus/frame10.png",
        "other-data/Venus/frame11.png",
        "other-gt-flow/Venus/flow10.flo",
    ];
    assert_eq!(listing(&tree, &data), [expected]);
    assert_eq!(open(Split::Test).expect("listed").files()[0].name, "Army");
    tree.remove("other-data/Venus/frame11.png");
    refused(open(Split::Train), "frame11.png");
    refused(
        FlowDataset::middlebury(&tree.root().join("no"), Split::Test),
        "eval-data",
    );
}

#[test]
fn mixtures_keep_every_pair() {
    let tree = Tree::new();
    tree.frame("a.ppm");
    tree.frame("b.png");
    let pair = |name: &str| PairFiles::new(name, tree.path("a.ppm"), tree.path("b.png"));
    let one = FlowDataset::new(vec![pair("one")]).expect("a pair");
    let two = FlowDataset::new(vec![pair("two"), pair("three")]).expect("pairs");
    let mixed = one.clone().repeat(3).join(two);
    let names: Vec<&str> = mixed.files().iter().map(|files| &*files.name).collect();
    assert_eq!(names, ["one", "one", "one", "two", "three"]);
    assert!(mixed.pairs().all(|pair| pair.is_ok()));
    assert_eq!(one.clone().repeat(0), one);
    assert!(FlowDataset::new(vec![]).is_err());
    // Frames of different sizes are no pair, and the error says which.
    let odd = Image::built_in(4, 2).expect("a picture");
    odd.save_png(&tree.path("b.png")).expect("written");
    refused(one.pair(0), "a.ppm");
}
