"""Programs with one wrong line, and a word the error for it must have.

X is float32 [2, 3] and requires no gradient, W is float32 [2, 3] and does, V is float32 [3], M is float32 [3, 3],
I is int32 [3] with values 0, 1, 2, B is bool [2, 3], N is float32 [1, 2, 4, 4].
"""

SHAPES = """
X @ V.reshape(1, 3) | matmul
X @ X | matmul
X + Tensor.ones(4) | broadcast
X * Tensor.ones(2) | broadcast
X - Tensor.ones(3, 2) | broadcast
X / Tensor.ones(5, 3) | broadcast
X.maximum(Tensor.ones(4)) | broadcast
X.where(V, Tensor.ones(4)) | broadcast
X == Tensor.ones(7) | broadcast
X.reshape(7) | reshape
X.reshape(-1, 4) | reshape
X.reshape(-1, -1) | reshape
X.view(2, 4) | reshape
X.expand(3, 3) | expand
X.expand(3) | expand
X.permute(0, 0) | permute
X.permute(0) | permute
X.transpose(0, 2) | transpose
X.sum(2) | sum
X.sum((0, 0)) | twice
X.mean(-3) | axis
X.max(5) | max
X.min(5) | min
X.argmax(2) | arg
X.argmin(-3) | arg
X.softmax(2) | axis
X.log_softmax(2) | axis
X.cumsum(2) | axis
X.cumprod(-3) | axis
X.std(2) | axis
X.var(7) | axis
X.prod(3) | prod
X.any(2) | any
X.all(2) | all
X.squeeze(2) | squeeze
X.unsqueeze(4) | unsqueeze
X.flip(2) | flip
X.flatten(1, 0) | flatten
X.unflatten(1, (2, 2)) | unflatten
X.shrink(((0, 3), None)) | shrink
X.shrink((None,)) | shrink
X.pad((1,)) | pad
X.pad(((1, 1),)) | pad
X.pad((5, 5), mode="reflect") | reflect
X.narrow(1, 2, 2) | narrow
X.split(2, 2) | split
X.split([1, 1], 1) | sizes
X.chunk(0) | chunk
X.cat(V) | cat
X.cat(Tensor.ones(2, 4)) | cat
X.stack(V) | stack
X.repeat(2) | repeat
X.roll(1, 3) | roll
X.diagonal(0, 0, 0) | diagonal
V.diagonal() | diagonal
X.t().t().unsqueeze(0).t() | transpose
N.conv2d(Tensor.ones(1, 3, 2, 2)) | channels
N.conv2d(Tensor.ones(1, 2, 9, 9)) | conv2d
X.conv2d(Tensor.ones(1, 2, 2, 2)) | dimensions
N.conv2d(Tensor.ones(3, 1, 2, 2), groups=2) | groups
N.conv_transpose2d(Tensor.ones(3, 2, 2, 2)) | channels
N.max_pool2d((9, 9)) | pool
N.pixel_shuffle(3) | pixel_shuffle
N.group_norm(3) | group
X.layer_norm((4,)) | layer_norm
V.dot(Tensor.ones(4)) | matmul
Tensor.einsum("ij,jk->ik", X, X) | einsum
Tensor.einsum("ij->ii", X) | einsum
Tensor.einsum("ij,jk", X) | einsum
X.bmm(X) | bmm
X.mv(X) | mv
X.mm(V) | mm
X.tensordot(X, 1) | tensordot
X.cross(X.T) | cross
X.inv() | square
X.det() | square
X.cholesky() | square
X.matrix_power(2) | square
M.solve(Tensor.ones(4, 1)) | solve
X.matrix_exp() | square
X.trace().trace() | trace
X.unfold(1, 4, 1) | unfold
X.rearrange("a b c -> a") | rearrange
X.rearrange("(a b) c -> a b c", a=3) | split
X.rearrange("a b -> a c") | name
X.scaled_dot_product_attention(M.cat(M, dim=1), X) | attention
X.cross_entropy(Tensor([0, 1, 2])) | cross_entropy
X.nll_loss(I) | nll
X.mse_loss(V.unsqueeze(0).unsqueeze(0).expand(2, 2, 3)) | mse
X.binary_crossentropy(Tensor.ones(2)) | binary
X.glu(1) | glu
X.gather(0, I) | gather
X.scatter(0, I, V) | scatter
X.backward() | cotangent
W.backward() | cotangent
W.sum().backward(V) | cotangent
X.assign(Tensor.ones(3, 3)) | assign
W.register_hook(lambda g: g.sum()) and W.sum().backward() | hook
Tensor([[1, 2], [3]]) | rectangular
Tensor.zeros(-1) | negative
Tensor.ones("a") | shape
nn.Linear(4, 2)(X) | Linear
nn.Conv2d(3, 4, 3)(N) | channels
nn.BatchNorm2d(3)(N) | BatchNorm
nn.LayerNorm(4)(X) | LayerNorm
len(Tensor(1.0)) | dimensions
"""

TYPES = """
X + "a" | str
X * None | NoneType
X + [1, 2, 3] | list
X & X | bitwise
X | V | bitwise
~X | not
X << 1 | shift
X >> I | shift
B - B | bool
B % B | bool
I.uniform(2, dtype="int32") | floats
I ** -1 | exponent
I.requires_grad_() | float
X.int().reshape(-1)[:1].bitcast("float64") | multiple
X.bitcast("bool") | bool
X.cast("float31") | dtype
Tensor.zeros(2, dtype="double float") | dtype
I + 3000000000 | fit
I.cast("uint8") - 1 + 256 | fit
Tensor("abc") | numbers
Tensor(object()) | numbers
X.one_hot(3) | one_hot
X.bincount() | vector
X.gcd(X) | gcd
I.sum().backward() | float
X.cross_entropy(Tensor([0.5, 1.5])) | targets
X.gather(0, X) | index
V[X] | index
X.threefry(X) | uint64
X.assign(I.expand(2, 3)) | assign
X.randint(2, low=3, high=3) | randint
X.imag | imaginary
range(3)[X.sum()] | integer
X.polygamma(-1) | polygamma
Tensor.randint(2, dtype="complex64") | real one
Tensor([1j]).abs_() | real numbers
X.float_power_(2) | pow_
Tensor.linspace(0, 1, 2.0) | integer number
Tensor.arange(float("inf")) | finite
X.narrow(1, 4, 1) | start 4
Tensor.complex(V, 2) | two tensors
Tensor.hstack([]) | empty list
"""

VALUES = """
nn.Sequential(nn.Linear(2, 2), 5) | Sequential
nn.functional.interpolate(N, size=(2,)) | spatial
nn.functional.conv2d(N, Tensor.ones(1, 2, 2, 2), padding=-1) | padding
nn.functional.conv2d(N, Tensor.ones(1, 2, 2, 2, dtype="float64")) | one type
nn.functional.conv_transpose2d(N, Tensor.ones(2, 1, 2, 2, dtype="float16")) | one type
nn.functional.embedding_bag(I, M, I, mode="sum", per_sample_weights=V.double()) | per_sample_weights
Tensor([3.0, 1.0]).searchsorted(V, sorter=I) | sorter
nn.utils.rnn.pad_sequence([]) | at least one
optim.SGD(nn.Linear(2, 2), lr=0.1) | parameters()
optim.lr_scheduler.StepLR(0.1, 10) | optimiser
optim.SGD([W], lr=0.1).load_state_dict({}) | state_dict
func.functional_call(nn.Linear(3, 2), {"weights": X}, V) | weights
I // 0 | division
I % 0 | division
I.fmod(0) | division
X.div(V, rounding_mode="up") | rounding_mode
X.clamp() | clamp
Tensor.arange(0, 3, 0) | arange
X.dropout(2) | probability
X.pad((1, 1), mode="wrap") | mode
X.mse_loss(X, reduction="average") | reduction
X.quantile(2.0) | quantile
X.topk(4) | topk
X.kthvalue(4) | kthvalue
X.multinomial(9) | multinomial
if X > 0: pass | ambiguous
bool(X) | ambiguous
X.item() | one element
float(X) | one element
X.to("TPU") | device
Tensor([1.0], device="NOWHERE") | device
X.shard(("NUMPY", "CPU")) | one device
X.keccak("md5") | keccak
X[5] | out of bounds
X[0, 0, 0] | index
X["a"] | index
X[0.5] | index
X[:, ::0] | step
X[B[:, :2]] | mask
X[..., ...] | index
X.select(1, 3) | out of range
X.index_select(2, I) | index_select
W.add_(1) | leaf
X.register_hook(print) | gradient
X.retain_grad() | gradient
X.interpolate((2,), mode="best") | mode
X.grid_sample(X) | grid
optim.SGD([X], lr=-1.0) | lr
autograd.gradcheck(lambda x: x, X) | float64
optim.SGD([]) | parameter
"""

LATER = """
X[Tensor([2])] | index < 2
V[Tensor([[-4]])] | gather
X.gather(1, Tensor([[3, 0]])) | gather
V.scatter(0, Tensor([5]), Tensor([1.0])) | scatter
nn.Embedding(3, 2)(Tensor([3])) | index out of range
X.cross_entropy(Tensor([0, 3])) | index out of range
X.index_add(0, Tensor([4]), V.unsqueeze(0)) | index out of range
V.take(Tensor([3])) | index out of range
(M * 0).inv() | inv
(M * 0).solve(M) | solve
(M * 0 - 1).cholesky() | cholesky
X.take_along_dim(Tensor([[9, 0, 0]]), 1) | index out of range
Tensor.ones(3)[Tensor([5])] | index out of range
Tensor.ones(3, 3)[Tensor([0]), Tensor([-4])] | index out of range
Tensor.zeros(5).gather(0, Tensor.full((2,), 7)) | index out of range
Tensor.ones(2, 3).index_select(1, Tensor([9])).sum() | index out of range
Tensor.zeros(2, 3).cross_entropy(Tensor([0, 3])) | index out of range
Tensor.ones(1, 3).expand(4, 3).take_along_dim(Tensor([[9, 0, 0]]), 0) | index out of range
Tensor([0.0, 0.0]).multinomial(1) | multinomial() found
Tensor([-1.0, 2.0]).multinomial(2) | multinomial() found
Tensor([float("nan"), 2.0]).multinomial(3, True) | multinomial() found
X.cov(fweights=I - 1) | cov() found
"""
