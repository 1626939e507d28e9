use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::finish::Finish;
use super::super::{Real, scratch};
use super::Geometry;
use super::patches::{STEP, gather};
use super::plan::Plan;
use super::planes::copy;
use super::windows::{DEPTH, Windows};

/// A kernel, packed as a left factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a, T> {
    pub(super) values: &'a [T],
    pub(super) outputs: usize,
}

/// A convolution that is cut into tasks.
pub(super) struct Convolution<'a, T> {
    geometry: &'a Geometry,
    input: &'a [T],
    kernel: Packed<'a, T>,
    finish: Finish<'a, T>,
    plan: Plan<'a>,
    /// Where each tap reads in the planes of a task,
    taps: Vec<usize>,
    /// and for which places of the output.
    vectors: Vec<usize>,
}

/// Some lines of some channels of some outputs.
struct Task<'r, T> {
    sample: usize,
    output: usize,
    line: usize,
    /// How many samples these are.
    samples: usize,
    /// A row a channel, sample by sample.
    rows: Vec<&'r mut [T]>,
}

impl<'a, T: Real> Convolution<'a, T> {
    /// For a geometry with places in its output, and as many samples as the input has; above 0.
    pub(super) fn new(
        geometry: &'a Geometry,
        input: &'a [T],
        samples: usize,
        kernel: Packed<'a, T>,
        finish: Finish<'a, T>,
    ) -> Self {
        let plan = Plan::new::<T>(geometry, samples, kernel.outputs);
        Self {
            geometry,
            input,
            kernel,
            finish,
            taps: plan.planes.taps(),
            vectors: plan.vectors(),
            plan,
        }
    }

    pub(super) fn run(&self, output: &mut [T]) {
        let tasks = self.tasks(output);
        if self.plan.parallel {
            tasks.into_par_iter().for_each(|task| self.run_task(task));
        } else {
            tasks.into_iter().for_each(|task| self.run_task(task));
        }
    }

    /// The tasks, which share the output out.
    fn tasks<'r>(&self, output: &'r mut [T]) -> Vec<Task<'r, T>> {
        let (plan, channels) = (self.plan, self.kernel.outputs);
        let [height, width] = self.geometry.output();
        let positions = height * width;
        let blocks = height.div_ceil(plan.lines);
        let mut tasks: Vec<Task<'r, T>> = Vec::new();
        for (index, outputs) in output
            .chunks_mut(plan.samples * channels * positions)
            .enumerate()
        {
            let (before, samples) = (tasks.len(), outputs.len() / (channels * positions));
            for output in (0..channels).step_by(plan.outputs) {
                let rows = samples * plan.outputs.min(channels - output);
                tasks.extend((0..height).step_by(plan.lines).map(|line| Task {
                    sample: index * plan.samples,
                    output,
                    line,
                    samples,
                    rows: Vec::with_capacity(rows),
                }));
            }
            for (plane, values) in outputs.chunks_exact_mut(positions).enumerate() {
                let first = before + plane % channels / plan.outputs * blocks;
                let parts = values.chunks_mut(plan.lines * width);
                for (task, part) in tasks[first..].iter_mut().zip(parts) {
                    task.rows.push(part);
                }
            }
        }
        tasks
    }

    fn run_task(&self, mut task: Task<'_, T>) {
        let (plan, planes) = (&self.plan, &self.plan.planes);
        let lines = task.rows.first().map_or(0, |row| row.len()) / plan.width;
        let places = plan.places(lines);
        let outputs = task.rows.len() / task.samples;
        let row = plan.row(task.samples * places);
        let lengths = [
            if plan.in_place {
                0
            } else {
                task.samples * planes.sample() + plan.lanes.max(STEP)
            },
            if plan.patches {
                self.taps.len().min(DEPTH) * row + STEP
            } else {
                0
            },
            if plan.is_exact() { 0 } else { outputs * row },
        ];
        scratch::with::<T, _, 3>(lengths, |[copied, patches, sums]| {
            let values = self.values(&task, lines, copied);
            let shape = [task.output, task.samples, lines, row];
            if plan.is_exact() {
                self.multiply(shape, values, patches, &mut task.rows);
                return;
            }
            let mut rows: Vec<&mut [T]> = sums.chunks_exact_mut(row).collect();
            self.multiply(shape, values, patches, &mut rows);
            for (index, target) in task.rows.iter_mut().enumerate() {
                let sums = &rows[index % outputs][index / outputs * places..];
                for (line, target) in target.chunks_exact_mut(plan.width).enumerate() {
                    copy(&sums[line * plan.pitch..][..plan.width], target);
                }
            }
        });

        let first = [task.output, task.line * plan.width];
        let positions = self.geometry.positions();
        let size = self.kernel.outputs * positions;
        for (index, rows) in task.rows.chunks_mut(outputs).enumerate() {
            let finish = self.finish.of_sample(task.sample + index, size);
            finish.apply(rows, first, positions);
        }
    }

    /// What the windows of a task are read from.
    fn values<'v>(&self, task: &Task<'_, T>, lines: usize, copied: &'v mut [T]) -> &'v [T]
    where
        'a: 'v,
    {
        let (plan, size) = (&self.plan, self.geometry.sample());
        if self.taps.is_empty() {
            return copied;
        }
        let input = &self.input[task.sample * size..];
        if plan.in_place {
            return &input[task.line * plan.width..];
        }
        let samples = input.chunks_exact(size).take(task.samples);
        let targets = copied.chunks_exact_mut(plan.planes.sample());
        for (input, target) in samples.zip(targets) {
            plan.planes.fill(input, task.line, lines, target);
        }
        copied
    }

    /// The product of some rows of the kernel, from `output` on, with what the taps read for some
    /// lines of some samples; rows of patches are `row` numbers apart.
    fn multiply(
        &self,
        [output, samples, lines, row]: [usize; 4],
        values: &[T],
        patches: &mut [T],
        rows: &mut [&mut [T]],
    ) {
        let (plan, depth) = (&self.plan, self.taps.len());
        let product = Windows {
            left: &self.kernel.values[output * depth..],
            depth,
            first: 0,
            values,
            terms: &self.taps,
            vectors: &self.vectors,
            adds: false,
        };
        if !plan.patches || depth == 0 {
            let count = samples * plan.places(lines) / plan.lanes;
            let vectors = &self.vectors[..count];
            Windows { vectors, ..product }.run(rows);
            return;
        }
        let of_sample = |sample: usize| {
            let first = sample * plan.planes.sample();
            (0..lines).map(move |line| first + line * plan.planes.row())
        };
        let length = samples * plan.places(lines);
        let lines: Vec<usize> = (0..samples).flat_map(of_sample).collect();
        let vectors: Vec<usize> = (0..length).step_by(plan.lanes).collect();
        let terms: Vec<usize> = (0..depth.min(DEPTH)).map(|term| term * row).collect();
        for (part, taps) in self.taps.chunks(DEPTH).enumerate() {
            gather(values, taps, &lines, plan.width, (&mut *patches, row));
            Windows {
                first: part * DEPTH,
                values: patches,
                terms: &terms[..taps.len()],
                vectors: &vectors,
                adds: part > 0,
                ..product
            }
            .run(rows);
        }
    }
}
