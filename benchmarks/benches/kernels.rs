//! The kernels of `deq-kernels` beside burn's own operations on flex, at the shapes of the
//! comparison's single kernels (W6) and of its maps.
//!
//! `RAYON_NUM_THREADS=2 cargo bench --manifest-path benchmarks/Cargo.toml --bench kernels`
//!
//! One line an operation: the median time of burn's operation and of ours, in milliseconds, and
//! how many times faster ours is. The two are measured in turns, so that a busy machine slows both
//! down. `packed` has the weights laid out beforehand, as a prepared map has.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, activation, module};
use deq_kernels::{Activation, Entry, PackedConv2d, PackedLinear, RowNorm, Sliding, SparseMatrix};

/// Measurements of each; the median is taken.
const ROUNDS: usize = 15;

/// What one measurement takes at least, in seconds.
const LEAST: f64 = 0.01;

fn main() {
    let device = Device::flex();
    println!(
        "{:<44} {:>10} {:>10} {:>7}",
        "operation", "burn, ms", "ours, ms", "times"
    );
    products(&device);
    convolutions(&device);
    functions(&device);
    norms(&device);
    maps(&device);
}

fn products(device: &Device) {
    let a: Tensor<2> = noise([1024, 1024], 1, device);
    let b: Tensor<2> = noise([1024, 1024], 2, device);
    compare(
        "product 1024 × 1024 × 1024",
        || a.clone().matmul(b.clone()),
        || deq_kernels::matmul(a.clone(), b.clone()),
    );
    for size in [128, 1024] {
        let x: Tensor<2> = noise([64, size], 3, device);
        let w: Tensor<2> = noise([size, size], 4, device);
        let packed = PackedLinear::new(w.clone(), None);
        compare(
            &format!("product 64 × {size} × {size}"),
            || x.clone().matmul(w.clone()),
            || deq_kernels::matmul(x.clone(), w.clone()),
        );
        compare(
            &format!("product 64 × {size} × {size}, packed"),
            || x.clone().matmul(w.clone()),
            || packed.forward(x.clone(), None),
        );
    }
    let a: Tensor<3> = noise([64, 128, 64], 5, device);
    let b: Tensor<3> = noise([64, 64, 128], 6, device);
    compare(
        "64 products 128 × 64 × 128",
        || a.clone().matmul(b.clone()),
        || deq_kernels::matmul(a.clone(), b.clone()),
    );
    let heads = |seed: u64| -> Tensor<4> { noise([8, 8, 128, 32], seed, device) };
    let (q, k, v) = (heads(7), heads(8), heads(9));
    let scale = 1.0 / 32f64.sqrt();
    compare(
        "attention 8 × 8 × 128 × 32",
        || {
            let scores = q.clone().matmul(k.clone().swap_dims(2, 3)) * scale;
            activation::softmax(scores, 3).matmul(v.clone())
        },
        || deq_kernels::attention(q.clone(), k.clone(), v.clone(), None, scale),
    );
    let (nodes, edges) = (5_000_u32, 55_000_u32);
    let entries: Vec<Entry> = (0..edges)
        .map(|edge| {
            let mixed = u64::from(edge).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
            (edge % nodes, mixed as u32 % nodes, 0.1)
        })
        .collect();
    let matrix = SparseMatrix::new([nodes as usize; 2], &entries);
    let rows: Tensor<2> = noise([nodes as usize, 64], 10, device);
    compare(
        "sparse product, 55 000 entries × 64",
        || by_gathering(&entries, rows.clone()),
        || matrix.multiply(rows.clone()),
    );
}

/// The product along the edges, with burn's operations and indices already on the device.
fn by_gathering(entries: &[Entry], rows: Tensor<2>) -> Tensor<2> {
    use std::cell::RefCell;

    use burn::tensor::{IndexingUpdateOp, Int};

    type Indices = (Tensor<1, Int>, Tensor<1, Int>);
    thread_local! {
        static INDICES: RefCell<Option<Indices>> = const { RefCell::new(None) };
    }
    let (ends, starts) = INDICES.with_borrow_mut(|indices| {
        indices
            .get_or_insert_with(|| {
                let tensor = |values: Vec<i64>| {
                    let count = values.len();
                    Tensor::<1, Int>::from_data(TensorData::new(values, [count]), &rows.device())
                };
                (
                    tensor(entries.iter().map(|entry| i64::from(entry.0)).collect()),
                    tensor(entries.iter().map(|entry| i64::from(entry.1)).collect()),
                )
            })
            .clone()
    });
    let messages = rows.clone().select(0, starts) * 0.1;
    rows.zeros_like()
        .select_assign(0, ends, messages, IndexingUpdateOp::Add)
}

fn convolutions(device: &Device) {
    let cases = [
        (
            "convolution 3×3, 64 to 64, 16 × 32×32",
            [16, 64, 32, 32],
            64,
            [3, 3],
            1,
        ),
        (
            "convolution 3×3, 24 to 120, 16 × 32×32",
            [16, 24, 32, 32],
            120,
            [3, 3],
            1,
        ),
        (
            "convolution 3×3 by 2, 24 to 24, 16 × 32×32",
            [16, 24, 32, 32],
            24,
            [3, 3],
            2,
        ),
        (
            "convolution 1×1, 24 to 24, 16 × 32×32",
            [16, 24, 32, 32],
            24,
            [1, 1],
            1,
        ),
        (
            "convolution 1×5, 96 to 32, 48×64",
            [1, 96, 48, 64],
            32,
            [1, 5],
            1,
        ),
        (
            "convolution 5×1, 96 to 32, 48×64",
            [1, 96, 48, 64],
            32,
            [5, 1],
            1,
        ),
        (
            "convolution 3×3, 128 to 64, 48×64",
            [1, 128, 48, 64],
            64,
            [3, 3],
            1,
        ),
    ];
    for (name, shape, outputs, kernel_size, step) in cases {
        let x: Tensor<4> = noise(shape, 11, device);
        let [height, width] = kernel_size;
        let kernel: Tensor<4> = noise([outputs, shape[1], height, width], 12, device);
        let sliding = Sliding {
            stride: [step; 2],
            ..Sliding::same(kernel_size)
        };
        let options = || ConvOptions::new(sliding.stride, sliding.padding, [1, 1], 1);
        let packed = PackedConv2d::new(kernel.clone(), None, sliding);
        compare(
            name,
            || module::conv2d(x.clone(), kernel.clone(), None, options()),
            || deq_kernels::conv2d(x.clone(), kernel.clone(), None, sliding, None),
        );
        compare(
            &format!("{name}, packed"),
            || module::conv2d(x.clone(), kernel.clone(), None, options()),
            || packed.forward(x.clone(), None),
        );
    }
}

fn functions(device: &Device) {
    let x: Tensor<1> = noise([1 << 22], 13, device);
    let y: Tensor<1> = noise([1 << 22], 14, device);
    compare(
        "tanh, 4M",
        || x.clone().tanh(),
        || deq_kernels::tanh(x.clone()),
    );
    compare(
        "sigmoid, 4M",
        || activation::sigmoid(x.clone()),
        || deq_kernels::sigmoid(x.clone()),
    );
    compare(
        "sin, 4M",
        || x.clone().sin(),
        || deq_kernels::sin(x.clone()),
    );
    compare(
        "exp, 4M",
        || x.clone().exp(),
        || deq_kernels::exp(x.clone()),
    );
    compare(
        "gelu, 4M",
        || activation::gelu(x.clone()),
        || deq_kernels::gelu(x.clone()),
    );
    compare(
        "tanh of a sum, 4M",
        || (x.clone() + y.clone()).tanh(),
        || deq_kernels::add_activation(x.clone(), y.clone(), Activation::Tanh),
    );
}

fn norms(device: &Device) {
    let x: Tensor<2> = noise([4096, 1024], 15, device);
    let residual: Tensor<2> = noise([4096, 1024], 16, device);
    compare(
        "softmax 4096 × 1024",
        || activation::softmax(x.clone(), 1),
        || deq_kernels::softmax(x.clone()),
    );
    let (gamma, beta) = (
        Tensor::<1>::ones([1024], device),
        Tensor::<1>::zeros([1024], device),
    );
    compare(
        "layer norm 4096 × 1024",
        || module::layer_norm(x.clone(), gamma.clone(), Some(beta.clone()), 1e-5),
        || deq_kernels::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5),
    );
    compare(
        "layer norm of a sum 4096 × 1024",
        || {
            let sum = x.clone() + residual.clone();
            module::layer_norm(sum, gamma.clone(), Some(beta.clone()), 1e-5)
        },
        || {
            let (x, residual) = (x.clone(), residual.clone());
            deq_kernels::add_layer_norm(x, residual, gamma.clone(), beta.clone(), 1e-5)
        },
    );
    compare(
        "residual and its norms, 64 × 65 536",
        || {
            let (image, point): (Tensor<2>, Tensor<2>) = (
                x.clone().reshape([64, 65_536]),
                residual.clone().reshape([64, 65_536]),
            );
            let residual = image.clone() - point;
            let norm = |rows: Tensor<2>| rows.square().sum_dim(1).sqrt();
            Tensor::cat(vec![norm(residual), norm(image)], 1)
        },
        || {
            let (image, point): (Tensor<2>, Tensor<2>) = (
                x.clone().reshape([64, 65_536]),
                residual.clone().reshape([64, 65_536]),
            );
            deq_kernels::residual_norms(image, point, RowNorm::L2).norms
        },
    );
    let x: Tensor<4> = noise([16, 120, 32, 32], 17, device);
    let (gamma, beta) = (
        Tensor::<1>::ones([120], device),
        Tensor::<1>::zeros([120], device),
    );
    compare(
        "group norm and relu, 16 × 120 × 32×32",
        || {
            let rows: Tensor<3> = x.clone().reshape([16, 8, 15 * 1024]);
            let centred = rows.clone() - rows.mean_dim(2);
            let deviation = (centred.clone().square().mean_dim(2) + 1e-5).sqrt();
            let normal: Tensor<4> = (centred / deviation).reshape([16, 120, 32, 32]);
            let scale: Tensor<4> = gamma.clone().reshape([1, 120, 1, 1]);
            let shift: Tensor<4> = beta.clone().reshape([1, 120, 1, 1]);
            activation::relu(normal * scale + shift)
        },
        || deq_kernels::group_norm_relu(x.clone(), gamma.clone(), beta.clone(), 8, 1e-5),
    );
}

/// One evaluation of tanh(zW + u), the map of W1 and W7.
fn maps(device: &Device) {
    for (batch, size) in [(1, 32), (64, 128), (64, 1024)] {
        let z: Tensor<2> = noise([batch, size], 18, device);
        let w: Tensor<2> = noise([size, size], 19, device) / size as f32;
        let u: Tensor<2> = noise([batch, size], 20, device);
        let packed = PackedLinear::new(w.clone(), None);
        compare(
            &format!("tanh(zW + u), {batch} × {size}, packed"),
            || (z.clone().matmul(w.clone()) + u.clone()).tanh(),
            || packed.forward_add(z.clone(), u.clone(), Some(Activation::Tanh)),
        );
    }
}

fn compare<const D: usize>(
    name: &str,
    burns: impl Fn() -> Tensor<D>,
    ours: impl Fn() -> Tensor<D>,
) {
    let mut times = [Vec::new(), Vec::new()];
    let counts = [repeats(&burns), repeats(&ours)];
    for _ in 0..ROUNDS {
        times[0].push(seconds(&burns, counts[0]));
        times[1].push(seconds(&ours, counts[1]));
    }
    let [burns, ours] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        1e3 * times[times.len() / 2]
    });
    println!(
        "{name:<44} {burns:>10.4} {ours:>10.4} {:>7.2}",
        burns / ours
    );
}

/// How many calls make a measurement.
fn repeats<const D: usize>(work: &impl Fn() -> Tensor<D>) -> usize {
    let warm = seconds(work, 2);
    (LEAST / warm.max(1e-7)).ceil() as usize
}

/// The time of one call. Flex computes at once, so there is nothing to wait for.
fn seconds<const D: usize>(work: &impl Fn() -> Tensor<D>, count: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        black_box(work());
    }
    start.elapsed().as_secs_f64() / count as f64
}

/// Numbers without structure between -1 and 1.
fn noise<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
