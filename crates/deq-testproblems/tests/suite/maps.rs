//! The maps' fixed points, Lipschitz constants and structure.

use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_testproblems::{Affine, InvalidProblem, MapProblem, Monotone, Spectrum, maps};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

const SPECTRA: [Spectrum; 3] = [
    Spectrum::Symmetric,
    Spectrum::Rotation,
    Spectrum::NonNormal { coupling: 0.4 },
];

fn gaussian(count: usize, rng: &mut StdRng) -> Vec<f64> {
    (0..count)
        .map(|_| Distribution::<f64>::sample(&StandardNormal, rng))
        .collect()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// $A B$ of two square matrices.
fn product(a: &[f64], b: &[f64], dim: usize) -> Vec<f64> {
    let entry = |row: usize, column: usize| -> f64 {
        (0..dim)
            .map(|k| a[row * dim + k] * b[k * dim + column])
            .sum()
    };
    (0..dim * dim)
        .map(|index| entry(index / dim, index % dim))
        .collect()
}

fn transposed(matrix: &[f64], dim: usize) -> Vec<f64> {
    (0..dim * dim)
        .map(|index| matrix[index % dim * dim + index / dim])
        .collect()
}

/// Infinite where either is NaN.
fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut largest = 0.0_f64;
    for (a, b) in a.iter().zip(b) {
        let difference = (a - b).abs();
        largest = largest.max(if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        });
    }
    largest
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The 2-norm of every row.
fn row_norms(tensor: Tensor<2>) -> Vec<f64> {
    let columns = tensor.dims()[1];
    values(tensor).chunks(columns).map(norm).collect()
}

fn affine(spectrum: Spectrum, rho: f64, dim: usize) -> Affine {
    Affine::new(spectrum, rho, 3, dim, 5).expect("a valid problem")
}

/// Every map with a Lipschitz constant.
fn contractions(rho: f64, device: &Device, dtype: DType) -> Vec<MapProblem> {
    let mut problems = vec![
        maps::tanh(rho, [3, 8], 1, device, dtype).expect("a valid problem"),
        maps::attention(rho, [3, 8], 5, 2, device, dtype).expect("a valid problem"),
        maps::convolution(rho, [3, 4, 5, 3], 3, device, dtype).expect("a valid problem"),
    ];
    let spectra = SPECTRA.map(|spectrum| affine(spectrum, rho, 7).problem(device, dtype));
    problems.extend(spectra);
    problems
}

/// Every map with a known fixed point.
fn solved(device: &Device, dtype: DType) -> Vec<MapProblem> {
    let mut problems = contractions(0.9, device, dtype);
    problems.push(maps::kinsol(2, device, dtype).expect("a valid problem"));
    let monotone = Monotone::new(0.5, 1.0, 3, 8, 4).expect("a valid problem");
    problems.push(monotone.problem(device, dtype));
    problems
}

fn solution_error(problem: &MapProblem) -> f64 {
    let solution = problem.solution.clone().expect("known");
    let image = problem.evaluate(solution.clone());
    largest_difference(&values(image), &values(solution))
}

#[test]
fn solutions_are_fixed_points() {
    for device in deq_devices::all() {
        for problem in solved(&device, DType::F32) {
            let error = solution_error(&problem);
            assert!(error <= 1e-4, "{problem:?}: {error}");
            let solution = problem.solution.clone().expect("known");
            let apart = largest_difference(&values(problem.start), &values(solution));
            assert!(apart >= 1e-1, "{}: {apart}", problem.name);
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn solutions_are_fixed_points_in_double_precision() {
    for problem in solved(&Device::flex(), DType::F64) {
        let error = solution_error(&problem);
        assert!(error <= 1e-12, "{problem:?}: {error}");
    }
}

#[test]
fn lipschitz_constants_hold() {
    let mut rng = StdRng::seed_from_u64(11);
    for device in deq_devices::all() {
        for problem in contractions(0.9, &device, DType::F32) {
            let rho = problem.rho.expect("a contraction");
            let shape = problem.start.dims();
            let mut random = |scale: f64| -> Tensor<2> {
                let numbers = gaussian(shape[0] * shape[1], &mut rng);
                let numbers: Vec<f32> = numbers.iter().map(|x| (scale * x) as f32).collect();
                let data = TensorData::new(numbers, shape);
                Tensor::from_data(data, (&device, DType::F32))
            };
            // Around 0 and around the solution, far apart and close together.
            let solution = problem.solution.clone().expect("known");
            for scale in [3.0, 0.3] {
                for center in [problem.start.clone(), solution.clone()] {
                    let (a, b) = (center.clone() + random(scale), center + random(scale));
                    let images = problem.evaluate(a.clone()) - problem.evaluate(b.clone());
                    let pairs = row_norms(images).into_iter().zip(row_norms(a - b));
                    for (image, distance) in pairs {
                        let bound = rho * distance * (1.0 + 1e-5) + 1e-6;
                        assert!(image <= bound, "{problem:?}: {image} > {bound}");
                    }
                }
            }
        }
    }
}

#[test]
fn plain_iteration_finds_the_solutions() {
    for device in deq_devices::all() {
        let mut problems = contractions(0.5, &device, DType::F32);
        problems.push(maps::kinsol(1, &device, DType::F32).expect("a valid problem"));
        for problem in problems {
            let mut z = problem.start.clone();
            for _ in 0..40 {
                z = problem.evaluate(z);
            }
            let solution = problem.solution.clone().expect("known");
            let error = largest_difference(&values(z), &values(solution));
            assert!(error <= 1e-4, "{problem:?}: {error}");
        }
    }
}

#[test]
fn the_kinsol_solution_is_the_published_one() {
    for device in deq_devices::all() {
        let problem = maps::kinsol(2, &device, DType::F32).expect("a valid problem");
        assert!(problem.rho.is_none());
        let published = [0.5, 1.0, -std::f64::consts::FRAC_PI_6].repeat(2);
        let solution = values(problem.solution.expect("known"));
        assert!(largest_difference(&solution, &published) <= 1e-6);
        let start = values(problem.start);
        assert!(largest_difference(&start, &[0.1, 0.1, -0.1].repeat(2)) <= 1e-6);
    }
}

#[test]
fn affine_errors_are_distances_to_the_solution() {
    for device in deq_devices::all() {
        for spectrum in SPECTRA {
            let problem = affine(spectrum, 0.9, 4);
            let solution = problem.solution(&device, DType::F32);
            let none = problem.error(&solution);
            assert!(none.len() == 3 && none.iter().all(|error| *error <= 1e-6));
            let moved = problem.error(&(solution + 1.0));
            assert!(moved.iter().all(|error| (error - 2.0).abs() <= 1e-5));
        }
    }
}

#[test]
fn symmetric_matrices_have_their_spectrum() {
    for dim in [1, 2, 7] {
        let problem = affine(Spectrum::Symmetric, 0.8, dim);
        let matrix = problem.matrix();
        assert!(largest_difference(matrix, &transposed(matrix, dim)) <= 1e-14);
        assert_eq!((problem.rho(), problem.lipschitz()), (0.8, 0.8));
    }
    // Every symmetric function of the eigenvalues -0.8, 0, 0.8, by way of A^3 = 0.64 A.
    let matrix = affine(Spectrum::Symmetric, 0.8, 3).matrix().to_vec();
    let cube = product(&product(&matrix, &matrix, 3), &matrix, 3);
    let scaled: Vec<f64> = matrix.iter().map(|value| 0.64 * value).collect();
    assert!(largest_difference(&cube, &scaled) <= 1e-14);
    assert!((norm(&matrix) - 1.28_f64.sqrt()).abs() <= 1e-14);
    let single = affine(Spectrum::Symmetric, 0.8, 1).matrix().to_vec();
    assert!(largest_difference(&single, &[0.8]) <= 1e-14);
}

#[test]
fn rotations_are_scaled_orthogonal_matrices() {
    for (dim, trace) in [(1, 0.8), (2, 0.0), (6, 0.0), (7, 0.8)] {
        let problem = affine(Spectrum::Rotation, 0.8, dim);
        let matrix = problem.matrix();
        let gram = product(&transposed(matrix, dim), matrix, dim);
        let identity: Vec<f64> = (0..dim * dim)
            .map(|index| {
                if index / dim == index % dim {
                    0.64
                } else {
                    0.0
                }
            })
            .collect();
        assert!(largest_difference(&gram, &identity) <= 1e-14, "{dim}");
        // The cosines of the angles cancel; at odd dimensions the last eigenvalue is left.
        let sum: f64 = matrix.iter().step_by(dim + 1).sum();
        assert!((sum - trace).abs() <= 1e-14, "{dim}: {sum}");
    }
}

#[test]
fn coupling_adds_to_the_norm_and_not_to_the_eigenvalues() {
    let problem = affine(Spectrum::NonNormal { coupling: -3.0 }, 0.8, 3);
    assert_eq!((problem.rho(), problem.lipschitz()), (0.8, 3.8));
    let matrix = problem.matrix();
    // The eigenvalues are -0.8, 0 and 0.8: A^3 = 0.64 A, as in the symmetric case.
    let cube = product(&product(matrix, matrix, 3), matrix, 3);
    let scaled: Vec<f64> = matrix.iter().map(|value| 0.64 * value).collect();
    assert!(largest_difference(&cube, &scaled) <= 1e-13);
    // The Frobenius norm has the two couplings in addition.
    let expected = (1.28_f64 + 2.0 * 9.0).sqrt();
    assert!((norm(matrix) - expected).abs() <= 1e-13);
}

#[test]
fn seeds_choose_the_numbers() {
    let matrix = |seed: u64| {
        let problem = Affine::new(Spectrum::Rotation, 0.8, 1, 4, seed);
        problem.expect("a valid problem").matrix().to_vec()
    };
    assert_eq!(matrix(1), matrix(1));
    assert!(largest_difference(&matrix(1), &matrix(2)) >= 1e-2);
}

#[test]
fn monotone_layers_keep_their_margin() {
    let (margin, dim) = (0.3, 6);
    let layer = Monotone::new(margin, 1.5, 2, dim, 9).expect("a valid problem");
    assert_eq!(layer.margin(), margin);
    let mut rng = StdRng::seed_from_u64(12);
    let top = layer.operator_norm();
    let frobenius = {
        let mut operator: Vec<f64> = layer.matrix().iter().map(|value| -value).collect();
        operator.iter_mut().step_by(dim + 1).for_each(|d| *d += 1.0);
        norm(&operator)
    };
    assert!(top <= frobenius && top >= frobenius / (dim as f64).sqrt());
    for _ in 0..200 {
        let z = gaussian(dim, &mut rng);
        let rows = layer.matrix().chunks(dim);
        let image: Vec<f64> = rows
            .zip(&z)
            .map(|(row, own)| own - row.iter().zip(&z).map(|(w, z)| w * z).sum::<f64>())
            .collect();
        let form: f64 = image.iter().zip(&z).map(|(a, b)| a * b).sum();
        let square = norm(&z).powi(2);
        assert!(form >= margin * square * (1.0 - 1e-12), "{form}");
        assert!(norm(&image) <= top * norm(&z) * (1.0 + 1e-6));
    }
    // Without A and B, I - W is m I.
    let plain = Monotone::new(margin, 0.0, 2, dim, 9).expect("a valid problem");
    assert!((plain.operator_norm() - margin).abs() <= 1e-14);
}

#[test]
fn a_monotone_layers_tensors_are_its_map() {
    for device in deq_devices::all() {
        let layer = Monotone::new(0.5, 1.0, 2, 4, 3).expect("a valid problem");
        let weight = layer.weight(&device, DType::F32);
        assert!(largest_difference(&values(weight.clone()), layer.matrix()) <= 1e-6);
        let z = layer.start(&device, DType::F32) + 0.5;
        let linear = z.clone().matmul(weight.transpose()) + layer.bias(&device, DType::F32);
        let image = layer.map(&device, DType::F32)(z);
        let by_hand = values(linear.clamp_min(0.0));
        assert!(largest_difference(&values(image), &by_hand) <= 1e-5);
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    let devices = deq_devices::all();
    let device = &devices[0];
    let field = |error: InvalidProblem| error.field;
    let affine = |spectrum, rho, batch, dim| {
        field(Affine::new(spectrum, rho, batch, dim, 0).expect_err("must be refused"))
    };
    assert_eq!(affine(Spectrum::Symmetric, -0.1, 1, 1), "rho");
    assert_eq!(affine(Spectrum::Symmetric, f64::NAN, 1, 1), "rho");
    let coupling = f64::INFINITY;
    let non_normal = Spectrum::NonNormal { coupling };
    assert_eq!(affine(non_normal, 0.5, 1, 1), "coupling");
    assert_eq!(affine(Spectrum::Rotation, 0.5, 0, 1), "batch");
    assert_eq!(affine(Spectrum::Rotation, 0.5, 1, 0), "dim");

    let tanh = |rho, shape| {
        field(maps::tanh(rho, shape, 0, device, DType::F32).expect_err("must be refused"))
    };
    assert_eq!(tanh(f64::INFINITY, [1, 1]), "rho");
    assert_eq!(tanh(0.5, [0, 1]), "batch");
    assert_eq!(tanh(0.5, [1, 0]), "dim");
    let attention = |slots| {
        let result = maps::attention(0.5, [1, 4], slots, 0, device, DType::F32);
        result.expect_err("must be refused").to_string()
    };
    assert_eq!(
        attention(5),
        "`slots` is 5, but must be at least 1 and at most the dimension"
    );
    assert!(attention(0).contains("`slots` is 0"));
    let convolution = |images| {
        field(maps::convolution(0.5, images, 0, device, DType::F32).expect_err("must be refused"))
    };
    assert_eq!(convolution([0, 1, 1, 1]), "batch");
    assert_eq!(convolution([1, 0, 1, 1]), "channels");
    assert_eq!(convolution([1, 1, 0, 1]), "height");
    assert_eq!(convolution([1, 1, 1, 0]), "width");
    let kinsol = maps::kinsol(0, device, DType::F32);
    assert_eq!(field(kinsol.expect_err("must be refused")), "batch");

    let monotone = |margin, scale, batch, dim| {
        field(Monotone::new(margin, scale, batch, dim, 0).expect_err("must be refused"))
    };
    assert_eq!(monotone(0.0, 1.0, 1, 1), "margin");
    assert_eq!(monotone(0.5, -1.0, 1, 1), "scale");
    assert_eq!(monotone(0.5, 1.0, 0, 1), "batch");
    assert_eq!(monotone(0.5, 1.0, 1, 0), "dim");
}
