// kernel   mul_266x30x3x3_f32: i 266, j 30, l 3, o 3
// params   out float32[71820] written, x0 float32[266], x1 float32[120]
//          out[i*270+j*9+l*3+o] = x0[i] * x1[j*4+l*2+o-3 | 0<=l-1<2, 0<=o-1<2]     {i j l o}
//
// grid     i by 133
// loop     i by 1, j by 1, l by 1, o by 16
// vector   o
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static inline float16 __attribute__((overloadable)) kf_load_float32(__global const float *p, long at, long size, int first, int last) { if (first <= 0 && last >= 16) return vload16(0, p + at); if (at >= 0 && at + 16 <= size) return select((float16)(0), vload16(0, p + at), (kf_lanes_int >= first) & (kf_lanes_int < last)); float t[16]; kf_for (int l = 0; l < 16; l++) t[l] = first <= l && l < last ? p[at + l] : 0; return vload16(0, t); }
static inline void __attribute__((overloadable)) kf_store_float32(float16 v, __global float *p, int first, int last) { if (first <= 0 && last >= 16) { vstore16(v, 0, p); return; } float t[16]; vstore16(v, 0, t); kf_for (int l = max(first, 0); l < min(last, 16); l++) p[l] = t[l]; }
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void mul_266x30x3x3_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int i0 = (int)get_group_id(0) * 133;
  kf_for (int i1 = i0; i1 < i0 + 133; i1 += 1) {
    kf_for (int j2 = 0; j2 < 30; j2 += 1) {
      kf_for (int l3 = 0; l3 < 3; l3 += 1) {
        const float x0_1 = x0[i1];
        const float16 x1_2 = (l3 >= 1) ? kf_load_float32(x1, j2 * 4 + l3 * 2 - 3, 120, 0 - (-1), 3 - 0) : (float16)(0.0f);
        const float16 mul_3 = (float16)(x0_1) * x1_2;
        kf_store_float32(mul_3, out + i1 * 270 + j2 * 9 + l3 * 3, 0, 3 - 0);
      }
    }
  }
}
