//! PyTorch checkpoints and state dicts into burn modules, and gradients out of them, by name.
//!
//! A burn module whose fields are named as in the PyTorch model loads that model's state dict
//! directly. What differs between the two is translated here, once for all models:
//!
//! | PyTorch | burn |
//! |---|---|
//! | `Linear.weight`, `[out, in]` | `Linear::weight`, `[in, out]` |
//! | `weight`, `bias` of a normalisation layer | `gamma`, `beta` |
//! | `weight_v` (weight norm) or `weight_orig` (spectral norm) | the base of a reparameterised `weight` |
//! | `weight_g`, `[out, 1, …]` | `weight.<reparameterisation>.gain`, `[out]` |
//! | `0.weight` in a `Sequential` of layers | element 0 of a `Vec` of an enum of layers |
//! | `num_batches_tracked` of a batch norm | none: it is passed over |
//! | `weight_u`, `weight_v` beside `weight_orig` | `weight.<reparameterisation>.u` and `.v` |
//!
//! A checkpoint of `torch.save` or a safetensors file becomes a [`StateDict`] with
//! [`StateDict::open`], and the state dict a model with [`load()`], which takes all of it or nothing:
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Device;
//! use deq_import::{StateDict, load};
//!
//! let weights = StateDict::open("tests/checkpoints/linear.pth")?;
//! let names: Vec<&str> = weights.names().collect();
//! assert_eq!(names, ["bias", "weight"]);
//! let linear = load(LinearConfig::new(3, 2).init(&Device::flex()), &weights)?;
//! assert_eq!(linear.weight.dims(), [3, 2]); // PyTorch's is [2, 3]
//!
//! let wider = LinearConfig::new(3, 4).init(&Device::flex());
//! let error = load(wider, &weights).unwrap_err().to_string();
//! assert!(error.contains("weight (model [4, 3], file [2, 3])"));
//!
//! let error = StateDict::open("Cargo.toml").unwrap_err().to_string();
//! assert!(error.contains("neither a safetensors file nor a checkpoint"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A dict can also be filled by hand:
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::TensorData;
//! use deq_import::{StateDict, load};
//!
//! let linear = LinearConfig::new(2, 1).init(&burn::tensor::Device::flex());
//! let mut dict = StateDict::new();
//! dict.insert("weight", TensorData::from([[1.0f32, 2.0]]));
//! dict.insert("bias", TensorData::from([0.5f32]));
//! let linear = load(linear, &dict)?;
//! assert_eq!(linear.weight.dims(), [2, 1]);
//! dict.insert("extra", TensorData::from([0.0f32]));
//! assert!(load(linear, &dict).unwrap_err().to_string().contains("extra"));
//! # Ok::<(), deq_import::ImportError>(())
//! ```

mod checkpoint;
mod gradients;
mod load;
mod names;
mod state_dict;

pub use checkpoint::{CheckpointCause, CheckpointError};
pub use gradients::gradients;
pub use load::{ImportError, load};
pub use state_dict::{StateDict, owned};
