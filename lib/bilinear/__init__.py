"""Bilinear teachers and the transformers that learn them.

The mathematics of "Transformers Trained via Gradient Descent Can Provably Learn a Class of Teacher Models"
(arXiv 2603.22801). Read in this order:

`activations`      the leaky family σ and its Gaussian moments
`teachers`         f*(X) = σ(V* X S*), and the paper's examples of it
`scores`           how logits become scores: softmax, and others
`students`         position-only attention (2.4), and the full layer (2.5)
`positions`        positional encodings P
`inputs`           laws of the tokens: the Gaussian one, and others to test on
`population`       the exact excess loss of a student, and its gradient
`heads`            the same of several heads
`descent`          the laboratory: gradient descent on the population, online, on a fixed sample, on anything
`curves`           reading a run: where a curve crosses a level, which power it follows
`scalar_dynamics`  the two numbers that gradient descent moves
`laws`             what they tend to
`floors`           what no student of a kind can beat
`selection`        one query, and the set that it selects given in the input
`images`           handwritten digits as tokens (`mnist_files`: where MNIST lies)
`neighbours`       other papers under the same lens

Tensors are float64 unless the caller's are not; dtype and device follow the input.
"""
