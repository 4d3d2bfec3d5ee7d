// kernel   contract_4x11x6x3x3x3x3_k90x90_f32: b 4, m1 11, n1 6, m2 3, n2 3, m3 3, n3 3, k1 90, k2 90
// params   out float32[12936] written, x0 float32[1723776], x1 float32[340736]
//          t0 = x0[b*430944+n1*71824+n2*268+n3+k1*804+k2*3 | 0<=n2+k1*3<268, 0<=n3+k2*3<268] * x1[b*85184+m1*7744+m2*-88+m3*-1+k1*88+k2 | 0<=m2*-1+k1<88, 0<=m3*-1+k2<88]     {b m1 n1 m2 n2 m3 n3 k1 k2}
//          t1 = add over k1 k2 (t0)                                                     {b m1 n1 m2 n2 m3 n3}
//          out[b*3234+m1*294+n1*49+m2*21+n2*7+m3*3+n3 | 0<=m2*3+n2<7, 0<=m3*3+n3<7] = t1     {b m1 n1 m2 n2 m3 n3}
//
// grid     b by 1, n1 by 1, m2 by 1, n2 by 1, m3 by 1, m1 by 16, n3 by 16
// loop     k1 by 5, m1 by 8, n3 by 16, k2 by 1, k1 by 1
// vector   n3
// stage    pack x0[b*430944+n1*71824+n2*268+n3+k1*804+k2*3 | 0<=n2+k1*3<268, 0<=n3+k2*3<268] at 8 as (n3,16)(k1,1)(k2,1)(n3,1) pad 0
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static inline float16 __attribute__((overloadable)) kf_load_float32(__global const float *p, long at, long size, int first, int last) { if (first <= 0 && last >= 16) return vload16(0, p + at); if (at >= 0 && at + 16 <= size) return select((float16)(0), vload16(0, p + at), (kf_lanes_int >= first) & (kf_lanes_int < last)); float t[16]; kf_for (int l = 0; l < 16; l++) t[l] = first <= l && l < last ? p[at + l] : 0; return vload16(0, t); }
static inline void __attribute__((overloadable)) kf_store_float32(float16 v, __global float *p, int first, int last) { if (first <= 0 && last >= 16) { vstore16(v, 0, p); return; } float t[16]; vstore16(v, 0, t); kf_for (int l = max(first, 0); l < min(last, 16); l++) p[l] = t[l]; }
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void contract_4x11x6x3x3x3x3_k90x90_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int b0 = (int)(get_group_id(0) / 162 % 4) * 1;
  const int n1_1 = (int)(get_group_id(0) / 27 % 6) * 1;
  const int m2_2 = (int)(get_group_id(0) / 9 % 3) * 1;
  const int n2_3 = (int)(get_group_id(0) / 3 % 3) * 1;
  const int m3_4 = (int)(get_group_id(0) / 1 % 3) * 1;
  float acc0[256] __attribute__((aligned(64)));
  kf_for (int z = 0; z < 256; z += 16) {
    vstore16((float16)(0.0f), 0, acc0 + z);
  }
  const int first_1 = clamp((int)(m2_2), (int)0, (int)(90 - 0 - 1)) / 5 * 5;
  const int last_2 = max((int)(first_1 + 1), min((int)(90), (int)(m2_2 + 88)));
  const int last_3 = max((int)(first_1 + 1), min((int)(last_2), (int)((n2_3 * -1 + 270) / 3)));
  kf_for (int k1_5 = first_1; k1_5 < last_3; k1_5 += 5) {
    float pack1[7200] __attribute__((aligned(64)));
    kf_for (int k1_6 = k1_5; k1_6 < k1_5 + 5; k1_6 += 1) {
      kf_for (int k2_7 = 0; k2_7 < 90; k2_7 += 1) {
        kf_for (int n3_8 = 0; n3_8 < 16; n3_8 += 16) {
          const float16 x0_4 = (n2_3 + k1_6 * 3 < 268) ? kf_load_float32(x0, b0 * 430944 + n1_1 * 71824 + n2_3 * 268 + n3_8 + k1_6 * 804 + k2_7 * 3, 1723776, 0, min(3 - n3_8, 268 - (n3_8 + k2_7 * 3))) : (float16)(0.0f);
          vstore16(x0_4, 0, pack1 + n3_8 / 16 * 7200 + (k1_6 - k1_5) * 1440 + k2_7 * 16);
        }
      }
    }
    kf_for (int m1_6 = 0; m1_6 < 8; m1_6 += 8) {
      float16 acc2_0_0 = vload16(0, acc0 + m1_6 * 16);
      float16 acc2_1_0 = vload16(0, acc0 + m1_6 * 16 + 16);
      float16 acc2_2_0 = vload16(0, acc0 + m1_6 * 16 + 32);
      float16 acc2_3_0 = vload16(0, acc0 + m1_6 * 16 + 48);
      float16 acc2_4_0 = vload16(0, acc0 + m1_6 * 16 + 64);
      float16 acc2_5_0 = vload16(0, acc0 + m1_6 * 16 + 80);
      float16 acc2_6_0 = vload16(0, acc0 + m1_6 * 16 + 96);
      float16 acc2_7_0 = vload16(0, acc0 + m1_6 * 16 + 112);
      const int first_5 = clamp((int)(m3_4), (int)0, (int)(90 - 0 - 1));
      const int last_6 = max((int)(first_5 + 1), min((int)(90), (int)(m3_4 + 88)));
      const int last_7 = max((int)(first_5 + 1), min((int)(last_6), (int)((270) / 3)));
      kf_for (int k2_7 = first_5; k2_7 < last_7; k2_7 += 1) {
        const int first_8 = k1_5 + clamp((int)(m2_2 - k1_5), (int)0, (int)(k1_5 + 5 - k1_5 - 1));
        const int last_9 = max((int)(first_8 + 1), min((int)(k1_5 + 5), (int)(m2_2 + 88)));
        const int last_10 = max((int)(first_8 + 1), min((int)(last_9), (int)((n2_3 * -1 + 270) / 3)));
        kf_for (int k1_8 = first_8; k1_8 < last_10; k1_8 += 1) {
          const float16 pack_11 = vload16(0, pack1 + (k1_8 - k1_5) * 1440 + k2_7 * 16);
          const float x1_12 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7] : 0.0f;
          acc2_0_0 = fma(pack_11, (float16)(x1_12), acc2_0_0);
          const float x1_13 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 7744] : 0.0f;
          acc2_1_0 = fma(pack_11, (float16)(x1_13), acc2_1_0);
          const float x1_14 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 15488] : 0.0f;
          acc2_2_0 = fma(pack_11, (float16)(x1_14), acc2_2_0);
          const float x1_15 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 23232] : 0.0f;
          acc2_3_0 = fma(pack_11, (float16)(x1_15), acc2_3_0);
          const float x1_16 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 30976] : 0.0f;
          acc2_4_0 = fma(pack_11, (float16)(x1_16), acc2_4_0);
          const float x1_17 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 38720] : 0.0f;
          acc2_5_0 = fma(pack_11, (float16)(x1_17), acc2_5_0);
          const float x1_18 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 46464] : 0.0f;
          acc2_6_0 = fma(pack_11, (float16)(x1_18), acc2_6_0);
          const float x1_19 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 54208] : 0.0f;
          acc2_7_0 = fma(pack_11, (float16)(x1_19), acc2_7_0);
        }
      }
      vstore16(acc2_0_0, 0, acc0 + m1_6 * 16);
      vstore16(acc2_1_0, 0, acc0 + m1_6 * 16 + 16);
      vstore16(acc2_2_0, 0, acc0 + m1_6 * 16 + 32);
      vstore16(acc2_3_0, 0, acc0 + m1_6 * 16 + 48);
      vstore16(acc2_4_0, 0, acc0 + m1_6 * 16 + 64);
      vstore16(acc2_5_0, 0, acc0 + m1_6 * 16 + 80);
      vstore16(acc2_6_0, 0, acc0 + m1_6 * 16 + 96);
      vstore16(acc2_7_0, 0, acc0 + m1_6 * 16 + 112);
    }
    {
      const int m1_6 = 8;
      float16 acc2_0_0 = vload16(0, acc0 + m1_6 * 16);
      float16 acc2_1_0 = vload16(0, acc0 + m1_6 * 16 + 16);
      float16 acc2_2_0 = vload16(0, acc0 + m1_6 * 16 + 32);
      float16 acc2_3_0 = vload16(0, acc0 + m1_6 * 16 + 48);
      float16 acc2_4_0 = vload16(0, acc0 + m1_6 * 16 + 64);
      float16 acc2_5_0 = vload16(0, acc0 + m1_6 * 16 + 80);
      float16 acc2_6_0 = vload16(0, acc0 + m1_6 * 16 + 96);
      float16 acc2_7_0 = vload16(0, acc0 + m1_6 * 16 + 112);
      const int first_20 = clamp((int)(m3_4), (int)0, (int)(90 - 0 - 1));
      const int last_21 = max((int)(first_20 + 1), min((int)(90), (int)(m3_4 + 88)));
      const int last_22 = max((int)(first_20 + 1), min((int)(last_21), (int)((270) / 3)));
      kf_for (int k2_7 = first_20; k2_7 < last_22; k2_7 += 1) {
        const int first_23 = k1_5 + clamp((int)(m2_2 - k1_5), (int)0, (int)(k1_5 + 5 - k1_5 - 1));
        const int last_24 = max((int)(first_23 + 1), min((int)(k1_5 + 5), (int)(m2_2 + 88)));
        const int last_25 = max((int)(first_23 + 1), min((int)(last_24), (int)((n2_3 * -1 + 270) / 3)));
        kf_for (int k1_8 = first_23; k1_8 < last_25; k1_8 += 1) {
          const float16 pack_26 = vload16(0, pack1 + (k1_8 - k1_5) * 1440 + k2_7 * 16);
          const float x1_27 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7] : 0.0f;
          acc2_0_0 = fma(pack_26, (float16)(x1_27), acc2_0_0);
          const float x1_28 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 7744] : 0.0f;
          acc2_1_0 = fma(pack_26, (float16)(x1_28), acc2_1_0);
          const float x1_29 = (-m2_2 + k1_8 >= 0 && -m2_2 + k1_8 < 88 && -m3_4 + k2_7 >= 0 && -m3_4 + k2_7 < 88) ? x1[b0 * 85184 + m1_6 * 7744 + m2_2 * -88 - m3_4 + k1_8 * 88 + k2_7 + 15488] : 0.0f;
          acc2_2_0 = fma(pack_26, (float16)(x1_29), acc2_2_0);
        }
      }
      vstore16(acc2_0_0, 0, acc0 + m1_6 * 16);
      vstore16(acc2_1_0, 0, acc0 + m1_6 * 16 + 16);
      vstore16(acc2_2_0, 0, acc0 + m1_6 * 16 + 32);
      vstore16(acc2_3_0, 0, acc0 + m1_6 * 16 + 48);
      vstore16(acc2_4_0, 0, acc0 + m1_6 * 16 + 64);
      vstore16(acc2_5_0, 0, acc0 + m1_6 * 16 + 80);
      vstore16(acc2_6_0, 0, acc0 + m1_6 * 16 + 96);
      vstore16(acc2_7_0, 0, acc0 + m1_6 * 16 + 112);
    }
  }
  kf_for (int m1_6 = 0; m1_6 < 11; m1_6 += 8) {
    const float16 acc_30 = vload16(0, acc0 + m1_6 * 16);
    if (m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_30, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_31 = vload16(0, acc0 + m1_6 * 16 + 16);
    if (m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_31, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 294, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_32 = vload16(0, acc0 + m1_6 * 16 + 32);
    if (m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_32, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 588, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_33 = vload16(0, acc0 + m1_6 * 16 + 48);
    if (m1_6 < 8 && m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_33, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 882, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_34 = vload16(0, acc0 + m1_6 * 16 + 64);
    if (m1_6 < 7 && m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_34, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 1176, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_35 = vload16(0, acc0 + m1_6 * 16 + 80);
    if (m1_6 < 6 && m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_35, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 1470, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_36 = vload16(0, acc0 + m1_6 * 16 + 96);
    if (m1_6 < 5 && m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_36, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 1764, 0, min(3 - 0, 7 - (m3_4 * 3)));
    const float16 acc_37 = vload16(0, acc0 + m1_6 * 16 + 112);
    if (m1_6 < 4 && m2_2 * 3 + n2_3 < 7) kf_store_float32(acc_37, out + b0 * 3234 + m1_6 * 294 + n1_1 * 49 + m2_2 * 21 + n2_3 * 7 + m3_4 * 3 + 2058, 0, min(3 - 0, 7 - (m3_4 * 3)));
  }
}
