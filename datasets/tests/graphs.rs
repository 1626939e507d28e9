//! Graphs: miniatures in the official layouts, the chains, and what is refused.

use std::io::Write;
use std::path::Path;

use deq_datasets::DataError;
use deq_datasets::graphs::chains::ChainsConfig;
use deq_datasets::graphs::{Features, Fold, GraphData, Labels, geom_gcn, planetoid, ppi, tu};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    std::fs::write(path, content).expect("written");
}

/// The message of a refusal, which must name the file.
fn refusal<T>(result: Result<T, DataError>, file: &str) -> String {
    let message = result.err().expect("must be refused").to_string();
    assert!(message.contains(file), "{message}");
    message
}

/// An `npy` file.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn le(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("created"));
    for (name, bytes) in arrays {
        let options =
            zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive
            .start_file(format!("{name}.npy"), options)
            .expect("started");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("finished");
}

/// Pickles of protocol 2, as Python 2 writes them.
mod pickle {
    fn string(text: &[u8]) -> Vec<u8> {
        let mut code = vec![b'T'];
        code.extend((text.len() as i32).to_le_bytes());
        code.extend(text);
        code
    }

    fn int(value: i32) -> Vec<u8> {
        let mut code = vec![b'J'];
        code.extend(value.to_le_bytes());
        code
    }

    fn tuple(values: &[i32]) -> Vec<u8> {
        let members: Vec<u8> = values.iter().flat_map(|&value| int(value)).collect();
        [b"(".to_vec(), members, b"t".to_vec()].concat()
    }

    fn array_code(descr: &str, shape: &[i32], data: &[u8]) -> Vec<u8> {
        [
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
                .to_vec(),
            tuple(shape),
            b"cnumpy\ndtype\nU\x02".to_vec(),
            descr.as_bytes().to_vec(),
            b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89".to_vec(),
            string(data),
            b"tb".to_vec(),
        ]
        .concat()
    }

    pub(crate) fn array(descr: &str, shape: &[i32], data: &[u8]) -> Vec<u8> {
        [
            b"\x80\x02".to_vec(),
            array_code(descr, shape, data),
            b".".to_vec(),
        ]
        .concat()
    }

    /// A matrix of compressed rows.
    pub(crate) fn csr(
        shape: [i32; 2],
        offsets: &[i32],
        columns: &[i32],
        values: &[f32],
    ) -> Vec<u8> {
        let lengths = |values: usize| [values as i32];
        [
            b"\x80\x02cscipy.sparse.csr\ncsr_matrix\nq\x01)\x81q\x02}q\x03(U\x06_shape".to_vec(),
            tuple(&shape),
            b"U\x06indptr".to_vec(),
            array_code("i4", &lengths(offsets.len()), &super::le(offsets)),
            b"U\x07indices".to_vec(),
            array_code("i4", &lengths(columns.len()), &super::le(columns)),
            b"U\x04data".to_vec(),
            array_code("f4", &lengths(values.len()), &super::floats(values)),
            b"ub.".to_vec(),
        ]
        .concat()
    }

    /// A dictionary of lists.
    pub(crate) fn lists(entries: &[(i32, &[i32])]) -> Vec<u8> {
        let mut code = b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(".to_vec();
        for (key, list) in entries {
            code.extend(int(*key));
            code.extend(b"](");
            code.extend(list.iter().flat_map(|&value| int(value)));
            code.extend(b"e");
        }
        code.extend(b"u.");
        code
    }
}

/// A citation network of 502 nodes with features and one more without, of which 2 are for training,
/// 500 for validation and 2 for testing: 502 rows in allx, and nodes 504 and 502 in the test file.
fn write_planetoid(folder: &Path) {
    let path = |part: &str| folder.join(format!("ind.mini.{part}"));
    let identity = |rows: i32| {
        let offsets: Vec<i32> = (0..=rows).collect();
        let columns: Vec<i32> = (0..rows).map(|row| row % 3).collect();
        pickle::csr([rows, 3], &offsets, &columns, &vec![1.0; rows as usize])
    };
    let classes = |rows: i32| {
        let one_hot: Vec<i32> = (0..rows)
            .flat_map(|row| [i32::from(row % 2 == 0), i32::from(row % 2 == 1)])
            .collect();
        pickle::array("i4", &[rows, 2], &le(&one_hot))
    };
    write(&path("x"), identity(2));
    write(&path("y"), classes(2));
    write(&path("allx"), identity(502));
    write(&path("ally"), classes(502));
    write(
        &path("tx"),
        pickle::csr([2, 3], &[0, 1, 3], &[2, 0, 1], &[0.5, 2.0, 3.0]),
    );
    write(&path("ty"), classes(2));
    write(&path("test.index"), "504\n502\n");
    write(
        &path("graph"),
        pickle::lists(&[(0, &[1, 504, 1]), (1, &[0]), (502, &[502]), (503, &[])]),
    );
}

#[test]
fn planetoid_files_are_put_together() {
    let dir = folder();
    write_planetoid(dir.path());
    let data = planetoid::open(dir.path(), "mini").expect("read");
    assert_eq!((data.num_nodes, data.features.width()), (505, 3));
    assert_eq!(data.features.rows(), 505);
    // Both directions, once, without loops.
    assert_eq!(data.edges, [(0, 1), (0, 504), (1, 0), (504, 0)]);
    let dense = data.features.to_dense();
    let row = |node: usize| &dense[node * 3..node * 3 + 3];
    assert_eq!(row(4), [0.0, 1.0, 0.0]);
    // The first row of tx belongs to the first node of test.index; node 503 is in neither.
    assert_eq!(row(504), [0.0, 0.0, 0.5]);
    assert_eq!(row(502), [2.0, 3.0, 0.0]);
    assert_eq!(row(503), [0.0; 3]);
    let Labels::Classes { classes, of_node } = &data.labels else {
        panic!("{:?}", data.labels);
    };
    assert_eq!(*classes, 2);
    assert_eq!(
        [of_node[3], of_node[504], of_node[502], of_node[503]],
        [Some(1), Some(0), Some(1), None]
    );
    let split = &data.splits[0];
    assert_eq!(split.train, [0, 1]);
    assert_eq!((split.validation[0], split.validation.len()), (2, 500));
    assert_eq!(split.test, [502, 504]);

    let normalised = data.features.row_normalised().to_dense();
    assert_eq!(normalised[502 * 3..503 * 3], [0.4, 0.6, 0.0]);
    assert_eq!(normalised[503 * 3..504 * 3], [0.0; 3]);
}

#[test]
fn broken_planetoid_files_are_refused() {
    let open = |change: &dyn Fn(&Path)| {
        let dir = folder();
        write_planetoid(dir.path());
        change(dir.path());
        planetoid::open(dir.path(), "mini")
    };
    let part = |dir: &Path, part: &str| dir.join(format!("ind.mini.{part}"));

    let result = open(&|dir| std::fs::remove_file(part(dir, "ally")).expect("removed"));
    assert!(refusal(result, "ind.mini.ally").contains("cannot read"));
    let result = open(&|dir| {
        let bytes = std::fs::read(part(dir, "allx")).expect("read");
        write(&part(dir, "allx"), &bytes[..bytes.len() / 2]);
    });
    let message = refusal(result, "ind.mini.allx");
    assert!(message.contains("ends in the middle") && message.contains("at byte"));
    let result = open(&|dir| write(&part(dir, "graph"), pickle::lists(&[(0, &[505])])));
    assert!(refusal(result, "ind.mini.graph").contains("node 505"));
    let result = open(&|dir| write(&part(dir, "graph"), pickle::lists(&[(-1, &[0])])));
    assert!(refusal(result, "ind.mini.graph").contains("node -1"));
    // A pickle that would run a program.
    let result = open(&|dir| {
        write(
            &part(dir, "graph"),
            b"\x80\x02cposix\nsystem\nU\x04true\x85R.",
        );
    });
    assert!(refusal(result, "ind.mini.graph").contains("posix system"));
    let result = open(&|dir| write(&part(dir, "test.index"), "504\nx\n"));
    assert!(refusal(result, "ind.mini.test.index").contains("line 2"));
    let result = open(&|dir| write(&part(dir, "test.index"), "504\n"));
    assert!(refusal(result, "ind.mini.test.index").contains("tx has 2 rows"));
    let result = open(&|dir| write(&part(dir, "test.index"), "504\n3\n"));
    assert!(refusal(result, "ind.mini.test.index").contains("below 502"));
    let result = open(&|dir| write(&part(dir, "test.index"), "4000000000\n502\n"));
    refusal(result, "ind.mini.test.index");
    let result = open(&|dir| write(&part(dir, "ty"), pickle::array("i4", &[1, 2], &le(&[1, 0]))));
    assert!(refusal(result, "ind.mini.ty").contains("[1, 2]"));
    let result = open(&|dir| {
        write(
            &part(dir, "tx"),
            pickle::csr([2, 3], &[0, 1, 2], &[0, 3], &[1.0, 1.0]),
        );
    });
    assert!(refusal(result, "ind.mini.tx").contains("column 3"));
    let result = open(&|dir| {
        write(
            &part(dir, "tx"),
            pickle::csr([2, 4], &[0, 1, 2], &[0, 3], &[1.0, 1.0]),
        );
    });
    assert!(refusal(result, "ind.mini.tx").contains("4 features"));
    // Arrays that promise more than they hold, and of types that are none.
    for array in [
        pickle::array("i4", &[2, 2], &le(&[1, 0])),
        pickle::array("i4", &[-2, 2], &le(&[1, 0])),
        pickle::array("O8", &[1], &[0; 8]),
    ] {
        let result = open(&|dir| write(&part(dir, "ty"), &array));
        refusal(result, "ind.mini.ty");
    }
}

#[test]
fn planetoid_data_come_without_pickles_too() {
    let dir = folder();
    let path = dir.path().join("mini.npz");
    let ints = |values: &[i32]| npy("<i4", false, &format!("({},)", values.len()), &le(values));
    let arrays = |edges: Vec<u8>, labels: Vec<u8>| {
        vec![
            ("x_indptr", ints(&[0, 1, 1, 2])),
            ("x_indices", ints(&[1, 0])),
            ("x_data", npy("<f4", false, "(2,)", &floats(&[1.0, 0.5]))),
            ("num_nodes", npy("<i4", false, "()", &le(&[3]))),
            ("num_features", npy("<i4", false, "()", &le(&[2]))),
            ("edges", edges),
            ("labels", labels),
            ("idx_train", ints(&[0])),
            ("idx_val", ints(&[1])),
            ("idx_test", ints(&[2])),
        ]
    };
    // Columns first: (0, 1) and (1, 0).
    let edges = npy("<i4", true, "(2, 2)", &le(&[0, 1, 1, 0]));
    npz(&path, &arrays(edges.clone(), ints(&[1, 0, -1])));
    let data = planetoid::open_npz(&path).expect("read");
    assert_eq!(data.edges, [(0, 1), (1, 0)]);
    assert_eq!(data.features.to_dense(), [0.0, 1.0, 0.0, 0.0, 0.5, 0.0]);
    let expected = Labels::Classes {
        classes: 2,
        of_node: vec![Some(1), Some(0), None],
    };
    assert_eq!(data.labels, expected);
    assert_eq!(data.splits[0].test, [2]);

    let far = npy("<i4", false, "(2, 1)", &le(&[0, 3]));
    npz(&path, &arrays(far, ints(&[1, 0, -1])));
    assert!(refusal(planetoid::open_npz(&path), "mini.npz").contains("node 3"));
    npz(&path, &arrays(edges.clone(), ints(&[1, 0])));
    assert!(refusal(planetoid::open_npz(&path), "mini.npz").contains("2 labels"));
    npz(&path, &arrays(edges, ints(&[1, 0, -1]))[..5]);
    assert!(refusal(planetoid::open_npz(&path), "mini.npz").contains("`edges`"));
    write(&path, "no archive");
    refusal(planetoid::open_npz(&path), "mini.npz");
}

fn write_geom_gcn(folder: &Path) {
    let data = folder.join("new_data/mini");
    write(
        &data.join("out1_graph_edges.txt"),
        "node_id\tnode_id\n2\t0\n0\t1\n",
    );
    write(
        &data.join("out1_node_feature_label.txt"),
        "node_id\tfeature\tlabel\n2\t0,1\t1\n0\t1,0\t0\n1\t1,1\t1\n",
    );
    for k in 0..2u8 {
        let mask = |node: u8| {
            let bytes: Vec<u8> = (0..3).map(|i| u8::from(i == (node + k) % 3)).collect();
            npy("|u1", false, "(3,)", &bytes)
        };
        npz(
            &folder.join(format!("splits/mini_split_0.6_0.2_{k}.npz")),
            &[
                ("train_mask", mask(0)),
                ("val_mask", mask(1)),
                ("test_mask", mask(2)),
            ],
        );
    }
}

#[test]
fn geom_gcn_files_are_read() {
    let dir = folder();
    write_geom_gcn(dir.path());
    let data = geom_gcn::open(dir.path(), "mini").expect("read");
    assert_eq!(data.num_nodes, 3);
    assert_eq!(data.edges, [(2, 0), (0, 1)]);
    assert_eq!(data.features.to_dense(), [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    let expected = Labels::Classes {
        classes: 2,
        of_node: vec![Some(0), Some(1), Some(1)],
    };
    assert_eq!(data.labels, expected);
    assert_eq!(data.splits.len(), 2);
    assert_eq!(data.splits[1].train, [1]);
    assert_eq!(data.splits[1].test, [0]);

    // Places of ones, as in film.
    write(
        &dir.path().join("new_data/mini/out1_node_feature_label.txt"),
        "node_id\tfeature(feature_amount:4)\tlabel\n0\t3,1\t0\n1\t0\t1\n2\t1\t0\n",
    );
    let data = geom_gcn::open(dir.path(), "mini").expect("read");
    assert_eq!(data.features.width(), 4);
    assert_eq!(data.features.to_dense()[..4], [0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn broken_geom_gcn_files_are_refused() {
    let nodes = "out1_node_feature_label.txt";
    let open = |file: &str, content: &str| {
        let dir = folder();
        write_geom_gcn(dir.path());
        write(&dir.path().join("new_data/mini").join(file), content);
        geom_gcn::open(dir.path(), "mini")
    };
    let header = "node_id\tfeature\tlabel\n";
    for (content, reason) in [
        ("", "empty"),
        (header, "no node"),
        ("h\n0\t1,0\t0\n0\t1,0\t0\n", "twice"),
        ("h\n0\t1,0\t0\n2\t1,0\t0\n", "node 2"),
        ("h\n0\t1,0\t0\n1\t1\t0\n", "line 3: 1 features"),
        ("h\n0\t1,0\t9\n", "label 9"),
        ("h\n0\t1,0\n", "line 2"),
        ("h\n0\t1,x\t0\n", "`x`"),
        ("h(feature_amount:2)\n0\t-1\t0\n", "place"),
    ] {
        let message = refusal(open(nodes, content), nodes);
        assert!(message.contains(reason), "{message}");
    }
    let edges = "out1_graph_edges.txt";
    for (content, reason) in [
        ("h\n0\t1\n0\t3\n", "line 3: an edge from node 0 to node 3"),
        ("h\n0 1\n", "a tab"),
    ] {
        let message = refusal(open(edges, content), edges);
        assert!(message.contains(reason), "{message}");
    }

    let dir = folder();
    write_geom_gcn(dir.path());
    let first = dir.path().join("splits/mini_split_0.6_0.2_0.npz");
    npz(
        &first,
        &[("train_mask", npy("|u1", false, "(2,)", &[1, 0]))],
    );
    let message = refusal(geom_gcn::open(dir.path(), "mini"), "0.2_0.npz");
    assert!(message.contains("2 values for 3 nodes"));
    std::fs::remove_file(&first).expect("removed");
    refusal(geom_gcn::open(dir.path(), "mini"), "0.2_0.npz");
    npz(
        &first,
        &[("train_mask", npy("<f4", false, "(9,)", &[0; 12]))],
    );
    assert!(refusal(geom_gcn::open(dir.path(), "mini"), "0.2_0.npz").contains("12 bytes"));
    npz(&first, &[("train_mask", b"\x93NUMPY\x01\x00\xff".to_vec())]);
    assert!(refusal(geom_gcn::open(dir.path(), "mini"), "0.2_0.npz").contains("header"));
}

fn write_tu(folder: &Path) {
    let path = |part: &str| folder.join("MINI").join(format!("MINI_{part}.txt"));
    write(&path("A"), "1, 2\n2, 1\n3, 4\n4, 5\n");
    write(&path("graph_indicator"), "1\n1\n2\n2\n2\n");
    write(&path("graph_labels"), "1\n-1\n");
    write(&path("node_labels"), "3\n5\n3\n4\n5\n");
    write(
        &path("node_attributes"),
        "0.5, 1\n1, 2\n 2, 3\n3, 4\n4, 5\n",
    );
}

#[test]
fn tu_sets_are_read() {
    let dir = folder();
    write_tu(dir.path());
    let set = tu::open(dir.path(), "MINI", false).expect("read");
    assert_eq!((set.classes, set.labels.as_slice()), (2, &[1, 0][..]));
    let second = &set.graphs[1];
    assert_eq!(
        (second.num_nodes, &second.edges),
        (3, &vec![(0, 1), (1, 2)])
    );
    assert_eq!(second.labels, Labels::None);
    let one_hot = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let expected = Features::Dense {
        width: 3,
        values: one_hot,
    };
    assert_eq!(second.features, expected);

    let with_attributes = tu::open(dir.path(), "MINI", true).expect("read");
    let first = &with_attributes.graphs[0].features;
    assert_eq!(first.width(), 5);
    assert_eq!(first.to_dense()[..5], [0.5, 1.0, 1.0, 0.0, 0.0]);

    let remove = |part: &str| {
        std::fs::remove_file(dir.path().join(format!("MINI/MINI_{part}.txt"))).expect("removed");
    };
    remove("node_labels");
    let set = tu::open(dir.path(), "MINI", false).expect("read");
    assert_eq!(set.graphs[0].features.width(), 2);
    remove("node_attributes");
    let set = tu::open(dir.path(), "MINI", false).expect("read");
    assert_eq!(set.graphs[1].features.to_dense(), [0.0, 1.0, 1.0]);
    let missing = tu::open(dir.path(), "MINI", true).err();
    assert!(matches!(missing, Some(DataError::Request(_))));
}

#[test]
fn broken_tu_sets_are_refused() {
    let open = |part: &str, content: &str| {
        let dir = folder();
        write_tu(dir.path());
        write(&dir.path().join(format!("MINI/MINI_{part}.txt")), content);
        refusal(
            tu::open(dir.path(), "MINI", true),
            &format!("MINI_{part}.txt"),
        )
    };
    for (part, content, reason) in [
        ("A", "1, 2\n5, 6\n", "line 2: an edge from node 5 to node 6"),
        ("A", "0, 1\n", "counted from 1"),
        ("A", "2, 3\n", "of graph 2"),
        ("A", "1 2\n", "a comma"),
        ("graph_indicator", "1\n1\n3\n", "graph 3"),
        ("graph_indicator", "1\n2\n1\n", "after graph 2"),
        ("graph_indicator", "2\n2\n", "graph 1 has no node"),
        ("graph_labels", "", "no graph"),
        ("graph_labels", "1\nx\n", "`x`"),
        ("node_labels", "1\n2\n", "2 lines for 5 nodes"),
        ("node_labels", "1\n2\n3\n4\n9000000000\n", "too far apart"),
        ("node_attributes", "1, 2\n1\n", "line 2: 1 numbers"),
        ("node_attributes", "1, 2\n", "1 lines for 5 nodes"),
    ] {
        let message = open(part, content);
        assert!(message.contains(reason), "{message}");
    }
    assert!(tu::open(folder().path(), "MINI", false).is_err());
}

#[test]
fn folds_test_every_graph_once_and_keep_the_classes_even() {
    let dir = folder();
    write_tu(dir.path());
    let mut set = tu::open(dir.path(), "MINI", false).expect("read");
    let graph = set.graphs[0].clone();
    set.graphs = vec![graph; 47];
    set.labels = (0..47).map(|i| u32::from(i % 3 == 0)).collect();
    let folds = set.folds(10, 1).expect("folds");
    assert_eq!(folds.len(), 10);
    let mut tested = vec![0; 47];
    for Fold { train, test } in &folds {
        assert_eq!(train.len() + test.len(), 47);
        assert!(test.iter().all(|graph| !train.contains(graph)));
        test.iter().for_each(|&graph| tested[graph] += 1);
        let ones = test.iter().filter(|&&graph| set.labels[graph] == 1).count();
        assert!((1..=2).contains(&ones) && (4..=5).contains(&test.len()));
    }
    assert_eq!(tested, [1; 47]);
    assert_eq!(set.folds(10, 1).expect("folds"), folds);
    assert_ne!(set.folds(10, 2).expect("folds"), folds);
    assert!(set.folds(1, 0).is_err() && set.folds(48, 0).is_err());
}

fn write_ppi(folder: &Path) {
    for part in ["train", "valid", "test"] {
        let path = |name: &str| folder.join(format!("{part}_{name}"));
        write(
            &path("graph.json"),
            r#"{"directed": true, "multigraph": false, "graph": {},
                "nodes": [{"id": 0}, {"id": 1}, {"id": 2}],
                "links": [{"source": 0, "target": 2}, {"source": 2, "target": 0},
                          {"source": 1, "target": 1}]}"#,
        );
        let feats: Vec<u8> = [0.5f64, 1.0, 1.5, 2.0, 2.5, 3.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        write(&path("feats.npy"), npy("<f8", false, "(3, 2)", &feats));
        let labels: Vec<u8> = [1i64, 0, 1]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        write(&path("labels.npy"), npy("<i8", false, "(3, 1)", &labels));
        write(
            &path("graph_id.npy"),
            npy("<i4", false, "(3,)", &le(&[7, 4, 7])),
        );
    }
}

fn labels_of(graph: &GraphData) -> &[bool] {
    match &graph.labels {
        Labels::Multi { of_node, .. } => of_node,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ppi_is_read_in_both_layouts() {
    let dir = folder();
    write_ppi(dir.path());
    let data = ppi::open(dir.path()).expect("read");
    assert_eq!(data.train.len(), 2);
    // Graph 4 is row 1; graph 7 is rows 0 and 2. The loop is dropped.
    let [small, large] = data.train.as_slice() else {
        panic!("two graphs");
    };
    assert_eq!((small.num_nodes, small.edges.len()), (1, 0));
    assert_eq!(small.features.to_dense(), [1.5, 2.0]);
    assert_eq!(large.edges, [(0, 1), (1, 0)]);
    assert_eq!(large.features.to_dense(), [0.5, 1.0, 2.5, 3.0]);
    assert_eq!(labels_of(large), [true, true]);
    assert_eq!(data.test, data.train);

    let dir = folder();
    let path = |name: &str| dir.path().join(format!("ppi-{name}"));
    write(
        &path("G.json"),
        r#"{"directed": false, "multigraph": false, "graph": {},
            "nodes": [{"id": 0, "val": false, "test": false}, {"id": 1, "val": true, "test": false},
                      {"id": 2, "val": false, "test": true}, {"id": 3, "val": false, "test": false}],
            "links": [{"source": 0, "target": 3}, {"source": 0, "target": 1}]}"#,
    );
    write(
        &path("feats.npy"),
        npy("<f4", false, "(4, 1)", &floats(&[0.0, 1.0, 2.0, 3.0])),
    );
    write(&path("id_map.json"), r#"{"0": 3, "1": 1, "2": 2, "3": 0}"#);
    write(
        &path("class_map.json"),
        r#"{"0": [1, 0], "1": [0, 0], "2": [1, 1], "3": [0, 1]}"#,
    );
    let data = ppi::open(dir.path()).expect("read");
    let train = &data.train[0];
    assert_eq!((train.num_nodes, &train.edges), (2, &vec![(0, 1), (1, 0)]));
    // Rows 0 and 3 belong to the nodes 3 and 0.
    assert_eq!(train.features.to_dense(), [0.0, 3.0]);
    assert_eq!(labels_of(train), [false, true, true, false]);
    assert_eq!(data.validation[0].num_nodes, 1);
    assert_eq!(labels_of(&data.test[0]), [true, true]);

    write(&path("id_map.json"), r#"{"0": 3, "1": 1, "2": 2}"#);
    assert!(refusal(ppi::open(dir.path()), "ppi-id_map.json").contains("node 3"));
    write(&path("id_map.json"), r#"{"0": 3, "1": 1, "2": 2, "3": 3}"#);
    assert!(refusal(ppi::open(dir.path()), "ppi-G.json").contains("twice"));
}

#[test]
fn broken_ppi_files_are_refused() {
    let open = |file: &str, content: &[u8]| {
        let dir = folder();
        write_ppi(dir.path());
        write(&dir.path().join(file), content);
        refusal(ppi::open(dir.path()), file)
    };
    let nodes = r#"{"directed": true, "nodes": [{"id": 0}, {"id": 1}, {"id": 2}], "links": "#;
    let link = |links: &str| format!("{nodes}{links}}}");
    let far = link(r#"[{"source": 0, "target": 3}]"#);
    assert!(open("train_graph.json", far.as_bytes()).contains("link 0"));
    let across = link(r#"[{"source": 0, "target": 1}]"#);
    assert!(open("valid_graph.json", across.as_bytes()).contains("another graph"));
    assert!(open("train_graph.json", b"{\"directed\": true").contains("line 1"));
    let short = npy("<f8", false, "(2, 2)", &[0; 32]);
    assert!(open("train_feats.npy", &short).contains("3 rows are needed"));
    let cut = npy("<f8", false, "(3, 2)", &[0; 40]);
    assert!(open("test_feats.npy", &cut).contains("cut short"));
    assert!(open("train_labels.npy", b"no array").contains("magic"));
    let wrong = npy("<f4", false, "(3,)", &floats(&[0.0, 0.5, 1.0]));
    assert!(open("train_graph_id.npy", &wrong).contains("0.5"));
    let big = npy(">f4", false, "(3,)", &[0; 12]);
    assert!(open("train_graph_id.npy", &big).contains("not supported"));
}

#[test]
fn chains_show_their_class_at_the_first_node() {
    let config = ChainsConfig {
        classes: 3,
        chains: 2,
        length: 4,
        features: 5,
        train: 6,
        validation: 8,
        test: 10,
        ..ChainsConfig::default()
    };
    let data = config.generate(0).expect("valid chains");
    assert_eq!(data.num_nodes, 24);
    assert_eq!(data.edges.len(), 6 * 3);
    assert!(
        data.edges
            .iter()
            .all(|(from, to)| from + 1 == *to && to % 4 != 0)
    );
    let dense = data.features.to_dense();
    for node in 0..24 {
        let row = &dense[node * 5..node * 5 + 5];
        let class = node / 8;
        let shown = node % 4 == 0;
        assert_eq!(row[class], f32::from(u8::from(shown)));
        assert_eq!(row.iter().sum::<f32>(), f32::from(u8::from(shown)));
    }
    let split = &data.splits[0];
    let mut all: Vec<u32> = [&split.train[..], &split.validation[..], &split.test[..]].concat();
    all.sort_unstable();
    assert_eq!(all, (0..24).collect::<Vec<u32>>());
    assert_eq!(config.generate(0).expect("valid chains"), data);
    assert_ne!(
        config.generate(1).expect("valid chains").splits,
        data.splits
    );

    let noisy = ChainsConfig {
        noise: 0.1,
        ..config.clone()
    };
    let noisy = noisy.generate(0).expect("valid chains").features.to_dense();
    let within = noisy
        .iter()
        .zip(&dense)
        .all(|(a, b)| (a - b).abs() < 0.1001);
    assert!(within && noisy.iter().any(|&value| value < 0.0));
    for broken in [
        ChainsConfig {
            classes: 1,
            ..config.clone()
        },
        ChainsConfig {
            features: 2,
            ..config.clone()
        },
        ChainsConfig {
            noise: -0.1,
            ..config.clone()
        },
        ChainsConfig { test: 11, ..config },
    ] {
        let error = broken.generate(0).err();
        assert!(matches!(error, Some(DataError::Request(_))), "{broken:?}");
    }
}
