use burn::tensor::{Device, Tensor, TensorData};

/// Encodings of distances, `[keys, width]`: row $j$ is that of the distance $n - 1 - j$ between a
/// query at the end of $n$ keys and key $j$,
///
/// $$\bigl(\sin(d\,\omega_0), \dots, \sin(d\,\omega_{w/2-1}),
///   \cos(d\,\omega_0), \dots, \cos(d\,\omega_{w/2-1})\bigr),
///   \qquad \omega_i = 10000^{-2i/w}.$$
///
/// Transformer-XL (Dai and others, ACL 2019), section 3.3. `width` is even.
pub(crate) fn encodings(keys: usize, width: usize, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let mut values = Vec::with_capacity(keys * width);
    for distance in (0..keys).rev() {
        let angles = |i: usize| {
            let frequency = 10_000f64.powf(-2.0 * i as f64 / width as f64);
            distance as f64 * frequency
        };
        values.extend((0..half).map(|i| angles(i).sin() as f32));
        values.extend((0..half).map(|i| angles(i).cos() as f32));
    }
    Tensor::from_data(TensorData::new(values, [keys, width]), device)
}

/// What the scores of masked keys become: their probabilities are zero in every float format.
const MASKED: f32 = -1e30;

/// What is added to scores, `[1, 1, queries, keys]`: nothing where query $i$ may see key $j$, which
/// is where $i + m - s < j \le i + m$ with the memory's length $m = \text{keys} - \text{queries}$
/// and the window $s$ (`local_size`); a large negative number elsewhere.
pub(crate) fn mask(queries: usize, keys: usize, local_size: usize, device: &Device) -> Tensor<4> {
    let memory = keys - queries;
    let mut values = Vec::with_capacity(queries * keys);
    for query in 0..queries {
        let own = query + memory;
        let sees = |key: usize| key <= own && own - key < local_size;
        values.extend((0..keys).map(|key| if sees(key) { 0.0 } else { MASKED }));
    }
    Tensor::from_data(TensorData::new(values, [1, 1, queries, keys]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_sees_its_window_and_nothing_ahead() {
        for device in deq::devices::all() {
            let data = mask(2, 5, 3, &device).into_data();
            let sees: Vec<bool> = data.iter::<f32>().map(|value| value == 0.0).collect();
            let expected = [
                [false, true, true, true, false],
                [false, false, true, true, true],
            ];
            assert_eq!(sees, expected.concat());
        }
    }

    #[test]
    fn the_last_key_is_at_distance_zero() {
        for device in deq::devices::all() {
            let data = encodings(3, 4, &device).into_data();
            let values: Vec<f32> = data.iter::<f32>().collect();
            assert_eq!(values[8..], [0.0, 0.0, 1.0, 1.0]);
            let second = [1f32.sin(), 0.01f32.sin(), 1f32.cos(), 0.01f32.cos()];
            let errors = values[4..8].iter().zip(second);
            assert!(errors.map(|(a, b)| (a - b).abs()).all(|e| e < 1e-6));
        }
    }
}
