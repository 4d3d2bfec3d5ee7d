// kernel   sum_2x54x24x24_k7x7_f32: i 2, j 54, l 24, o 24, r 7, s 7
// params   out float32[62208] written, x0 float32[3698], x1 float32[2646]
//          t0 = x0[i*1849+l*86+o*2+r*43+s-220 | 0<=l*2+r-5<43, 0<=o*2+s-5<43] * x1[j*49+r*7+s]     {i j l o r s}
//          t1 = add over r s (where({0<=l*2+r-5<43}, where({0<=o*2+s-5<43}, t0, 0.0), 0.0))     {i j l o}
//          out[i*31104+j*576+l*24+o] = t1                                               {i j l o}
//
// grid     i by 1, j by 7, o by 32
// loop     i by 1, j by 1, l by 1, r by 1, s by 1
// vector   o
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static inline void __attribute__((overloadable)) kf_store_float32(float16 v, __global float *p, int first, int last) { if (first <= 0 && last >= 16) { vstore16(v, 0, p); return; } float t[16]; vstore16(v, 0, t); kf_for (int l = max(first, 0); l < min(last, 16); l++) p[l] = t[l]; }
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void sum_2x54x24x24_k7x7_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int i0 = (int)get_group_id(1) * 1;
  const int j1 = (int)get_group_id(0) * 7;
  kf_for (int j2 = j1; j2 < min(j1 + 7, 54); j2 += 1) {
    kf_for (int l3 = 0; l3 < 24; l3 += 1) {
      float16 acc0_0 = (float16)(0.0f);
      float16 acc0_16 = (float16)(0.0f);
      const int first_1 = clamp((int)(l3 * -2 + 5), (int)0, (int)(7 - 0 - 1));
      const int last_2 = max((int)(first_1 + 1), min((int)(7), (int)(l3 * -2 + 48)));
      kf_for (int r4 = first_1; r4 < last_2; r4 += 1) {
        kf_for (int s5 = 0; s5 < 7; s5 += 1) {
          const int valid_3 = l3 * 2 + r4 >= 5 && l3 * 2 + r4 < 48;
          const int16 at_4 = s5 - 5 + kf_lanes_int * 2;
          const int16 valid_5 = ((at_4 >= 0) & (at_4 < 43));
          const int16 at_6 = s5 - 5 + kf_lanes_int * 2;
          const int16 inside_7 = ((at_6 >= 0) & (at_6 < 43));
          const int16 safe_8 = select((int16)(0), i0 * 1849 + l3 * 86 + r4 * 43 + s5 - 220 + kf_lanes_int * 2, inside_7);
          const float16 x0_9 = (l3 * 2 + r4 >= 5 && l3 * 2 + r4 < 48) ? select((float16)(0.0f), (float16)(x0[safe_8.s0], x0[safe_8.s1], x0[safe_8.s2], x0[safe_8.s3], x0[safe_8.s4], x0[safe_8.s5], x0[safe_8.s6], x0[safe_8.s7], x0[safe_8.s8], x0[safe_8.s9], x0[safe_8.sa], x0[safe_8.sb], x0[safe_8.sc], x0[safe_8.sd], x0[safe_8.se], x0[safe_8.sf]), inside_7) : (float16)(0.0f);
          const float x1_10 = x1[j2 * 49 + r4 * 7 + s5];
          const float16 mul_11 = x0_9 * x1_10;
          const float16 where_12 = select((float16)(0.0f), mul_11, valid_5);
          const float16 where_13 = valid_3 ? where_12 : (float16)(0.0f);
          acc0_0 = acc0_0 + where_13;
          const int16 at_14 = s5 + 27 + kf_lanes_int * 2;
          const int16 valid_15 = ((at_14 >= 0) & (at_14 < 43));
          const int16 at_16 = s5 + 27 + kf_lanes_int * 2;
          const int16 inside_17 = ((at_16 >= 0) & (at_16 < 43)) & (kf_lanes_int < 24 - 16);
          const int16 safe_18 = select((int16)(0), i0 * 1849 + l3 * 86 + r4 * 43 + s5 - 188 + kf_lanes_int * 2, inside_17);
          const float16 x0_19 = (l3 * 2 + r4 >= 5 && l3 * 2 + r4 < 48) ? select((float16)(0.0f), (float16)(x0[safe_18.s0], x0[safe_18.s1], x0[safe_18.s2], x0[safe_18.s3], x0[safe_18.s4], x0[safe_18.s5], x0[safe_18.s6], x0[safe_18.s7], x0[safe_18.s8], x0[safe_18.s9], x0[safe_18.sa], x0[safe_18.sb], x0[safe_18.sc], x0[safe_18.sd], x0[safe_18.se], x0[safe_18.sf]), inside_17) : (float16)(0.0f);
          const float16 mul_20 = x0_19 * x1_10;
          const float16 where_21 = select((float16)(0.0f), mul_20, valid_15);
          const float16 where_22 = valid_3 ? where_21 : (float16)(0.0f);
          acc0_16 = acc0_16 + where_22;
        }
      }
      vstore16(acc0_0, 0, out + i0 * 31104 + j2 * 576 + l3 * 24);
      kf_store_float32(acc0_16, out + i0 * 31104 + j2 * 576 + l3 * 24 + 16, 0, 24 - 16);
    }
  }
}
