//! Trainings of a moment: tiny networks of every model on tiny data.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

use crate::common::{stderr, text};

/// Runs the program where no environment says where data are.
pub(crate) fn deq_zoo(arguments: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("deq-zoo").expect("the binary is built");
    command.args(arguments).env_remove("DEQ_ZOO_DATA").assert()
}

/// Runs a command whose options stand between spaces, with `--out`.
pub(crate) fn train(options: &str, out: &Path) -> Assert {
    let mut arguments = vec!["train"];
    arguments.extend(options.split_whitespace());
    arguments.extend(["--out", text(out)]);
    deq_zoo(&arguments)
}

/// A refused request: exit code 2 and a message with all of these words.
pub(crate) fn refused(options: &str, out: &Path, words: &[&str]) {
    let message = stderr(&train(options, out).code(2));
    for word in words {
        assert!(message.contains(word), "{options}: {message}");
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Chains, and a solver of few steps.
pub(crate) const CHAINS: &str = "ignn --set network.deq.forward.termination.max_iter=4";

/// A language model of a few hundred numbers, on a few hundred characters.
pub(crate) const TEXT: &str = "deq-lm --set network.d_model=8 --set network.d_embed=8 --set network.d_inner=40 --set network.n_head=2 --set network.d_head=4 --set network.mem_len=4 --set data.characters=1000 --set batch=2 --set segment=6 --set validation_tokens=20 --set evaluation.reach=4 --set evaluation.segment=8 --set network.deq.forward.termination.max_iter=3 --set network.deq.gradient.steps=2";

/// A matcher of a few thousand numbers, for frames of 16 pixels a side and more, two a step.
pub(crate) const MATCHER: &str = r#"deq-flow --set batch=2 --set network.encoder_dims=[4,4,4] --set network.feature_dim=4 --set network.hidden_dim=4 --set network.context_dim=4 --set network.motion={correlation=[6,6],flow=[6,4],out=6} --set network.flow_head_dim=6 --set network.mask_dim=6 --set network.corr_levels=2 --set network.corr_radius=1 --set network.deq.forward.termination.max_iter=4 --set network.deq.states={count=2} --set train.schedule={kind="constant",rate=1e-3}"#;

/// The matcher on eight built-in pairs of 32 by 48 pixels, augmented.
pub(crate) fn flow() -> String {
    let scenes = "scenes={width=48,height=32,max_displacement=3.0}";
    let data = format!("{{kind=\"shapes\",pairs=8,{scenes}}}");
    let tests = format!("[{{name=\"test\",data={{kind=\"shapes\",pairs=2,{scenes}}}}}]");
    let augmentation = "{kind=\"raft\",crop=[24,32]}";
    format!(
        "{MATCHER} --set validation=2 --set data={data} --set tests={tests} --set augmentation={augmentation}"
    )
}

/// A multiscale model on images of 8 by 8 pixels, with everything random that there is.
pub(crate) const IMAGES: &str = r#"
model = "mdeq"
name = "tiny"
batch = 4
validation = 4
data = { kind = "shapes", train = 20, test = 10, side = 8, channels = 1 }
augmentation = { crop_padding = 1, flip = true }
jacobian = { weight = 0.1, frequency = 0.5 }

[network]
in_channels = 1
classes = 10
channels = [4, 8]
expansion = 2
groups = 4
downsample_times = 1
head_channels = [2, 3]
final_channels = 6
norm = { fusion = true }
deq.forward.termination.max_iter = 4
deq.gradient = { kind = "phantom", steps = 2, damping = 0.5 }

[optimizer]
method = { kind = "sgd", momentum = 0.9, weight_decay = 1e-4 }
clip_norm = 1.0
accumulate = 2

[train]
steps = 6
log_every = 1
evaluate_every = 3
schedule = { kind = "cosine", rate = 0.01, steps = 6 }
"#;

/// Options for [`IMAGES`], whose recipe is written into `folder`.
pub(crate) fn images(folder: &Path) -> String {
    let path = folder.join("tiny.toml");
    std::fs::write(&path, IMAGES).expect("written");
    format!("mdeq --config {}", path.display())
}

/// A diffusion model on images of 8 by 8 pixels, with everything random that there is.
pub(crate) const DIFFUSION: &str = r#"
model = "deq-ddim"
name = "tiny-diffusion"
batch = 2
validation = 4
average = 0.9
flip = true
data = { kind = "shapes", train = 12, test = 5, side = 8, channels = 1 }
diffusion = { steps = 200 }
sampling = { steps = 4 }
evaluation = { batch = 4, generated = 2 }

[network]
channels = 1
image_size = 8
width = 32
multipliers = [1]
res_blocks = 1
attention_resolutions = []
dropout = 0.2

[optimizer]
clip_norm = 1.0
accumulate = 2

[train]
steps = 2
log_every = 1
evaluate_every = 1
schedule = { kind = "cosine", rate = 1e-3, steps = 2 }
"#;

/// Options for [`DIFFUSION`], whose recipe is written into `folder`.
pub(crate) fn diffusion(folder: &Path) -> String {
    let path = folder.join("tiny-diffusion.toml");
    std::fs::write(&path, DIFFUSION).expect("written");
    format!("deq-ddim --config {}", path.display())
}

/// A network for three modalities of a few features, with everything random that there is.
pub(crate) const FUSION: &str = r#"
model = "deq-fusion"
name = "tiny-fusion"
batch = 4
validation = 0.25
scale = true

[data]
kind = "generated"
views = { train = 32, test = 10, classes = 2, widths = [6, 5, 4], missing = 0.1 }

[network]
network = "mm_dynamics"
views = [6, 5, 4]
hidden = 8
head_layers = 0
classes = 2
dropout = 0.2

[network.fusion]
kind = "equilibrium"
layer = { gate_dropout = 0.1, fuse_dropout = 0.1 }
jacobian_weight = 0.1

[network.fusion.solve]
kind = "per_sample"
forward = { solver = { kind = "anderson" }, termination = { max_iter = 4 } }
gradient = { kind = "implicit", backward = { solver = { kind = "anderson" }, termination = { max_iter = 4 } } }

[optimizer]
clip_norm = 1.0
accumulate = 2

[train]
steps = 6
log_every = 1
evaluate_every = 3
best = { metric = "validation_loss", mode = "min" }
schedule = { kind = "cosine", rate = 0.01, steps = 6 }
"#;

/// Options for [`FUSION`], whose recipe is written into `folder`.
pub(crate) fn fusion(folder: &Path) -> String {
    let path = folder.join("tiny-fusion.toml");
    std::fs::write(&path, FUSION).expect("written");
    format!("deq-fusion --config {}", path.display())
}

/// A network with an equilibrium block on images of 16 by 16 pixels, with everything random that
/// there is, and two majority classes.
pub(crate) const COLLAPSE: &str = r#"
model = "deq-collapse"
name = "tiny-collapse"
batch = 4
validation = 40
collapse_images = 30
data = { kind = "shapes", train = 140, test = 20, side = 16, channels = 1 }
imbalance = { kind = "step", majority = 2, samples = 4, ratio = 2.0 }
augmentation = { crop_padding = 1, flip = true }
objective = { loss = "mse", feature_decay = 1e-4, classifier_decay = 1e-3 }

[network]
in_channels = 1
classes = 10
width = 2
features = 16
stages = [1, 2]
groups = 4
norm = { kind = "batch" }
classifier = { kind = "learned", bias = true }

[network.last]
kind = "equilibrium"
deq.forward.termination.max_iter = 4
deq.gradient = { kind = "phantom", steps = 2, damping = 0.5 }

[optimizer]
method = { kind = "sgd", momentum = 0.9, weight_decay = 5e-4 }
clip_norm = 1.0
accumulate = 2

[train]
steps = 6
log_every = 1
evaluate_every = 3
schedule = { kind = "cosine", rate = 0.05, steps = 6 }
"#;

/// Options for [`COLLAPSE`], whose recipe is written into `folder`.
pub(crate) fn collapse(folder: &Path) -> String {
    let path = folder.join("tiny-collapse.toml");
    std::fs::write(&path, COLLAPSE).expect("written");
    format!("deq-collapse --config {}", path.display())
}

/// Twelve paths of three nodes in TU's layout, with the class at the first node.
pub(crate) fn write_graphs(folder: &Path) {
    let folder = folder.join("tudataset/MUTAG");
    std::fs::create_dir_all(&folder).expect("a folder");
    let (mut edges, mut graphs, mut nodes, mut labels) =
        (String::new(), String::new(), String::new(), String::new());
    for graph in 0..12 {
        let first = 3 * graph + 1;
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
            edges.push_str(&format!("{}, {}\n", first + from, first + to));
        }
        graphs.push_str(&format!("{0}\n{0}\n{0}\n", graph + 1));
        nodes.push_str(&format!("{}\n1\n1\n", graph % 2));
        labels.push_str(if graph % 2 == 0 { "1\n" } else { "-1\n" });
    }
    for (name, content) in [
        ("A", edges),
        ("graph_indicator", graphs),
        ("node_labels", nodes),
        ("graph_labels", labels),
    ] {
        std::fs::write(folder.join(format!("MUTAG_{name}.txt")), content).expect("written");
    }
}

/// The CPU devices of this build; on GPUs and software for them, kernels would be compiled for
/// minutes.
pub(crate) fn devices() -> Vec<String> {
    let cpus = deq::devices::compiled().into_iter();
    let cpus = cpus.filter(|backend| !backend.is_gpu());
    cpus.map(|backend| format!("--device {}", backend.name()))
        .collect()
}
