//! The memory of a solve is bounded by the solver's window and not by its steps, and a step takes
//! little of it.
//!
//! Apart from the other tests: the allocator is shared, so one test measures at a time. It sees the
//! host's memory, which is that of the CPU backends.

use burn::tensor::Tensor;
use deq_solvers::{AndersonConfig, BroydenConfig, Finish, Mixing, SolveConfig, SolverConfig};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const STATE: usize = 8 * 512 * 4;

fn peak(solver: &SolverConfig, steps: usize) -> usize {
    // Flex, as in a build of nothing else: the temporaries of other backends differ from run to run.
    let device = deq_devices::double_precision()
        .into_iter()
        .find(|device| device.memory_pool_usage().is_none());
    let Some(device) = device else { return 0 };
    let mut config = SolveConfig::new(solver.clone())
        .with_tolerance(0.0)
        .with_max_iter(steps);
    config.termination.finish = Finish::Final;
    config.termination.divergence = None;
    let start = Tensor::<2>::full([8, 512], 0.3, &device);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let map = |z: Tensor<2>| (z * 2.1 + 0.4).sin() * 1.3;
    let solution = config.solve(map, start).expect("a valid solve");
    assert_eq!(solution.stats.steps, steps, "{solver:?}");
    MEMORY.peak_usage() - before
}

/// One test for both: the harness allocates for each that it starts.
#[test]
fn memory_is_bounded() {
    memory_does_not_grow_with_steps();
    #[cfg(feature = "flex")]
    a_step_takes_one_state_however_many_came_before();
}

fn memory_does_not_grow_with_steps() {
    let mut solvers = SolverConfig::all();
    solvers.retain(|solver| !matches!(solver, SolverConfig::Robust(_)));
    solvers.push(SolverConfig::Anderson(AndersonConfig {
        mixing: Mixing::Qr,
        safeguard: Some(2.0),
        ..AndersonConfig::default()
    }));
    solvers.push(SolverConfig::Anderson(AndersonConfig {
        mixing: Mixing::TypeOne,
        ..AndersonConfig::default()
    }));
    solvers.push(SolverConfig::Broyden(BroydenConfig {
        memory: 10,
        ..BroydenConfig::default()
    }));
    for solver in solvers {
        peak(&solver, 50); // the first solve also fills the backend's own caches
        let (short, long) = (peak(&solver, 50), peak(&solver, 400));
        // The trace has a line of 32 bytes per step, made room for at the start.
        let grown = long.saturating_sub(short);
        assert!(
            grown < STATE,
            "{solver:?}: {short} bytes at 50 steps, {long} at 400"
        );
    }
}

/// The bytes in use each time the map is entered, and the most that the solver took on top of what
/// was in use when the map was left, until it was entered again.
#[cfg(feature = "flex")]
fn steps(solver: &SolverConfig, count: usize) -> (Vec<usize>, Vec<usize>) {
    let mut config = SolveConfig::new(solver.clone())
        .with_tolerance(0.0)
        .with_max_iter(count);
    // Each step is the best so far, and takes the place of the one before.
    config.termination.finish = Finish::Final;
    config.termination.divergence = None;
    let start = Tensor::<2>::full([8, 512], 0.3, &burn::tensor::Device::flex());
    let mut held: Vec<usize> = Vec::with_capacity(count);
    let mut taken: Vec<usize> = Vec::with_capacity(count);
    let mut left: Option<usize> = None;
    let map = |z: Tensor<2>| {
        held.push(MEMORY.current_usage());
        taken.extend(left.map(|left| MEMORY.peak_usage().saturating_sub(left)));
        let image = (z * 2.1 + 0.4).sin() * 1.3;
        left = Some(MEMORY.current_usage());
        MEMORY.reset_peak_usage();
        image
    };
    let solution = config.solve(map, start).expect("a valid solve");
    assert_eq!(solution.stats.evaluations, count, "{solver:?}");
    (held, taken)
}

/// The allocator counts bytes, not calls. Between two evaluations one state is unavoidable: the
/// residual, which solvers and observers are shown. Anderson's next point is another, made when
/// two older states are gone. Everything else must fit into what is `SMALL` beside a state: norms,
/// flags, coefficients, and what burn allocates with every operation for a shape and a reference
/// count.
#[cfg(feature = "flex")]
fn a_step_takes_one_state_however_many_came_before() {
    const SMALL: usize = STATE / 4;
    // By then windows are full, and caches filled.
    const STEADY: usize = 10;
    for solver in [SolverConfig::picard(), SolverConfig::anderson()] {
        let (held, taken) = steps(&solver, 400);
        let spread = |bytes: &[usize]| {
            let bytes = &bytes[STEADY..];
            let (least, most) = (bytes.iter().min(), bytes.iter().max());
            most.expect("a step") - least.expect("a step")
        };
        // One more word a step would make 3 KiB by the end.
        let (held, grown) = (spread(&held), spread(&taken));
        assert!(
            held < 1024 && grown < 1024,
            "{solver:?}: {held}, {grown} bytes"
        );
        let most = taken[STEADY..].iter().max().expect("a step");
        assert!((STATE..STATE + SMALL).contains(most), "{solver:?}: {most}");
    }
}
